import { faultMatrix } from "../../../kernel/operations/testing/fault-matrix.ts";
import { expectCleanSlate } from "./testing/clean-slate.ts";
import { OperationHarness, operationWorldMigrations } from "./testing/operation-harness.ts";
import { HOSTS, OperationWorld } from "./testing/operation-world.ts";

for (const storage of ["local", "shared"] as const) {
  const harness = new OperationHarness();
  let serverId = "";
  faultMatrix(harness.operations.create, {
    name: `on ${storage} storage`,
    migrations: operationWorldMigrations,
    world: (tools) => OperationWorld.open(harness, tools, harness.operations.create),
    given: async (world) => {
      serverId = await world.given.newServer({ storage });
      return await world.given.create(serverId);
    },
    afterSuccess: (world) => expectCleanSlate(world, { serverId, host: HOSTS, vm: "active" }),
    afterUnwind: (world) => expectCleanSlate(world, { serverId, host: null, vm: "error" }),
  });
}
