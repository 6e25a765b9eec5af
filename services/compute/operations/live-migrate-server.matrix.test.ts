import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { serverMatrix } from "./testing/matrix.ts";

// Past the pivot the guest may come to rest at either end: what counts is that everything agrees about it.
for (const storage of ["local", "shared"] as const) {
  serverMatrix({
    name: `with ${storage === "local" ? "a mirrored" : "a shared"} disk`,
    operation: (operations) => operations.liveMigrate,
    server: (world) => world.given.server({ storage }),
    start: (world, id) => world.given.liveMigrate(id),
    done: { host: ["a", "b", "c"], vm: "active" },
    undone: { host: "a", vm: "active" },
    stores: storage === "shared" ? ["sqlite", "postgres"] : ["sqlite"],
  });
}

serverMatrix({
  name: "of a paused guest",
  operation: (operations) => operations.liveMigrate,
  server: async (world) => {
    const id = await world.given.server();
    await world.given.start(world.harness.operations.power.pause, await world.given.power(id, "pause"));
    await world.toTheEnd();
    return id;
  },
  start: (world, id) => world.given.liveMigrate(id, { host: "b" }),
  done: { host: ["a", "b"], vm: "paused" },
  undone: { host: "a", vm: "paused" },
  stores: ["sqlite"],
});

serverMatrix({
  name: "whose transfer fails",
  operation: (operations) => operations.liveMigrate,
  server: async (world) => {
    const id = await world.given.server({ storage: "shared" });
    const broken = { verb: "compute.migrateOut", times: 100 };
    world.sim.faults.add({
      ...broken,
      fault: { type: "fail", error: new CloudError("conflict", "compute.migration_failed", "It failed.") },
    });
    return id;
  },
  start: (world, id) => world.given.liveMigrate(id, { host: "b" }),
  done: { host: "a", vm: "active" },
  undone: { host: "a", vm: "active" },
  stores: ["sqlite"],
});
