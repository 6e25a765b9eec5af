import type { ComputeTables } from "../store/tables.ts";
import { serverMatrix } from "./testing/matrix.ts";
import type { OperationWorld } from "./testing/operation-world.ts";

/** A live migration that was cut off: at `switch` its guest is at the destination, at `migrate` still at the source. */
async function abandonedMigration(world: OperationWorld, at: "migrate" | "finish-destination"): Promise<string> {
  const { operations, deps } = world.harness;
  const { store, control } = world.tools;
  const id = await world.given.server({ storage: "shared" });
  const verb = at === "migrate" ? "compute.migrateOut" : "compute.finishIncoming";
  const hang = world.sim.faults.add({ verb, fault: { type: "hang" } });
  const operation = await world.given.start(operations.liveMigrate, await world.given.liveMigrate(id, { host: "b" }));
  await world.workUntil(() => hang.hits > 0);
  await store.tx(async (t) => {
    await control.abandon(t, operation);
    const set = { task_state: null, updated_at: deps.kernel.clock.now() };
    await t.tables<ComputeTables>().updateTable("servers").set(set).where("id", "=", id).execute();
    await t.tables<ComputeTables>().updateTable("migrations").set({ status: "error" }).execute();
  });
  await world.work();
  return id;
}

for (const at of ["migrate", "finish-destination"] as const) {
  serverMatrix({
    name: `after a live migration abandoned at ${at}`,
    operation: (operations) => operations.cleanup,
    server: (world) => abandonedMigration(world, at),
    start: async (_world, serverId) => ({
      input: { serverId, host: "b", mayAdopt: true },
      resourceId: serverId,
    }),
    done: { host: at === "migrate" ? "a" : "b", vm: "active" },
    undone: { host: "a", vm: "active" },
  });
}
