import assert from "node:assert/strict";
import { test } from "node:test";
import { isLeftBehind, REPLICATION_STATUSES, statusAtStart } from "./replication-state.ts";

test("a start recomputes every status but failed-over", () => {
  for (const current of REPLICATION_STATUSES) {
    for (const replicationEnabled of [true, false]) {
      const next = statusAtStart(current, { replicationEnabled, failingOver: false });
      const wanted = replicationEnabled ? "enabled" : "disabled";
      assert.equal(next, current === "failed-over" || current === wanted ? null : wanted, current);
    }
  }
});

test("a start leaves a failover that is under way alone", () => {
  assert.equal(statusAtStart("failing-over", { replicationEnabled: true, failingOver: true }), null);
  assert.equal(statusAtStart("failing-over", { replicationEnabled: true, failingOver: false }), "enabled");
});

test("only volumes that are known to have no replica are left behind", () => {
  assert.deepEqual(REPLICATION_STATUSES.filter(isLeftBehind), ["not-capable", "disabled"]);
  assert.equal(isLeftBehind(null), false);
});
