import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { servicesOn } from "../../../../kernel/fleet/services.ts";
import { defaultFleetSettings } from "../../../../kernel/fleet/settings.ts";
import { worldTools } from "../../../../kernel/operations/testing/world-tools.ts";
import type { Store } from "../../../../kernel/store/store.ts";
import { openSqlite } from "../../../../kernel/store/testing/stores.ts";
import { OperationHarness, operationWorldMigrations } from "./operation-harness.ts";
import { HOSTS, OperationWorld } from "./operation-world.ts";

/** A database that answers, but not soon. */
function slow(store: Store): Store {
  return {
    ...store,
    read: store.read,
    reading: () => store.reading(),
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
  const tools = worldTools(slow(database.store));
  const { clock } = tools;
  const world = await OperationWorld.open(new OperationHarness(), tools);
  world.agents.partition("a");
  await world.pass(70_000);
  const services = await servicesOn(database.store.read, [...HOSTS]);
  const up = services.filter((row) => clock.now() - (row.last_seen ?? 0) <= defaultFleetSettings.serviceDownTimeMs);
  assert.deepEqual(up.map((row) => row.node).toSorted(), ["b", "c"]);
  await world.close();
  await database.dispose();
});
