import assert from "node:assert/strict";
import { test } from "node:test";
import { mayFailOver, REPLICATION_STATUSES, statusAtStart } from "./replication-state.ts";

test("a start recomputes every status but failed-over", () => {
  for (const current of REPLICATION_STATUSES) {
    const kept = current === "failed-over";
    assert.equal(statusAtStart(current, true), kept ? current : "enabled", current);
    assert.equal(statusAtStart(current, false), kept ? current : "disabled", current);
  }
});

test("a backend fails over from a good state only", () => {
  assert.deepEqual(REPLICATION_STATUSES.filter(mayFailOver), ["enabled", "failed-over"]);
});
