import assert from "node:assert/strict";
import { test } from "node:test";
import { isLeftBehind, REPLICATION_STATUSES, statusAtStart } from "./replication-state.ts";

test("a start recomputes every status but failed-over", () => {
  for (const current of REPLICATION_STATUSES) {
    const kept = current === "failed-over";
    assert.equal(statusAtStart(current, true), kept ? current : "enabled", current);
    assert.equal(statusAtStart(current, false), kept ? current : "disabled", current);
  }
});

test("only volumes that are known to have no replica are left behind", () => {
  assert.deepEqual(REPLICATION_STATUSES.filter(isLeftBehind), ["not-capable", "disabled"]);
  assert.equal(isLeftBehind(null), false);
});
