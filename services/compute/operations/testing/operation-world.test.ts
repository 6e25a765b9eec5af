import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { ManualClock } from "../../../../kernel/clock/manual-clock.ts";
import { servicesOn } from "../../../../kernel/fleet/services.ts";
import { defaultFleetSettings } from "../../../../kernel/fleet/settings.ts";
import { systemIds } from "../../../../kernel/ids/ids.ts";
import { OperationControl } from "../../../../kernel/operations/control.ts";
import type { Store } from "../../../../kernel/store/store.ts";
import { openSqlite } from "../../../../kernel/store/testing/stores.ts";
import { OperationHarness, operationWorldMigrations } from "./operation-harness.ts";
import { HOSTS, OperationWorld } from "./operation-world.ts";

/** A database that answers, but not soon. */
function slow(store: Store): Store {
  return {
    ...store,
    read: store.read,
    listen: (channel, listener) => store.listen(channel, listener),
    close: () => store.close(),
    tx: async (fn) => {
      for (let turns = 0; turns < 500; turns += 1) await setImmediate();
      return await store.tx(fn);
    },
  };
}

test("hosts that live are seen to live while time passes, however slow the database is", async () => {
  const database = await openSqlite(operationWorldMigrations);
  const clock = new ManualClock();
  const control = new OperationControl(clock, systemIds);
  const harness = new OperationHarness();
  const world = await OperationWorld.open(harness, { store: slow(database.store), clock, ids: systemIds, control });
  world.agents.partition("a");
  await world.pass(70_000);
  const services = await servicesOn(database.store.read, [...HOSTS]);
  const up = services.filter((row) => clock.now() - (row.last_seen ?? 0) <= defaultFleetSettings.serviceDownTimeMs);
  assert.deepEqual(up.map((row) => row.node).toSorted(), ["b", "c"]);
  await world.close();
  await database.dispose();
});
