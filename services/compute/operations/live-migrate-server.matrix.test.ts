import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { type Slate, serverMatrix } from "./testing/matrix.ts";
import type { OperationWorld } from "./testing/operation-world.ts";

// Past the pivot the guest may come to rest at either end: what counts is that everything agrees about it.
for (const storage of ["local", "shared"] as const) {
  serverMatrix({
    name: `with ${storage === "local" ? "a mirrored" : "a shared"} disk`,
    operation: (operations) => operations.liveMigrate,
    server: (world) => world.given.server({ storage }),
    start: (world, id) => world.given.liveMigrate(id),
    done: { host: ["a", "b", "c"], vm: "active" },
    undone: { host: "a", vm: "active" },
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
});

for (const boots of [false, true]) {
  serverMatrix({
    name: boots ? "of a guest that boots from a volume" : "of a guest with a volume",
    operation: (operations) => operations.liveMigrate,
    server: (world) => world.given.server({ devices: { boots, made: 1 } }),
    start: (world, id) => world.given.liveMigrate(id),
    done: { host: ["a", "b", "c"], vm: "active", volumes: "all" },
    undone: { host: "a", vm: "active", volumes: "all" },
  });
}

// Each call is answered once with "not now", so that there is a moment at which the machine can break.
const NOT_NOW = new CloudError("unavailable", "test.not_now", "Not now.");

serverMatrix({
  name: "whose guest dies as it arrives",
  operation: (operations) => operations.liveMigrate,
  server: async (world) => {
    const id = await world.given.server({ storage: "shared" });
    world.sim.faults.add({ verb: "compute.finishIncoming", fault: { type: "fail", error: NOT_NOW } });
    return id;
  },
  start: (world, id) => world.given.liveMigrate(id, { host: "b" }),
  drive: async (world, id, operation) => {
    if (operation.step === "finish-destination") world.sim.crashGuest("b", id);
    return false;
  },
  done: (world, id) => asItIs(world, id),
  undone: { host: "a", vm: "active" },
});

for (const lost of ["a", "b"] as const) {
  serverMatrix({
    name: `while ${lost === "a" ? "its source" : "its destination"} loses power`,
    operation: (operations) => operations.liveMigrate,
    server: async (world) => {
      const id = await world.given.server({ storage: "local" });
      const failed = new CloudError("conflict", "compute.migration_failed", "It failed.");
      world.sim.faults.add({ verb: "compute.migrateOut", fault: { type: "fail", error: failed } });
      const verb = lost === "a" ? "compute.abortMigration" : "compute.abandonIncoming";
      world.sim.faults.add({ verb, host: lost, fault: { type: "fail", error: NOT_NOW } });
      return id;
    },
    start: (world, id) => world.given.liveMigrate(id, { host: "b" }),
    drive: async (world, _id, operation) => {
      if (operation.step === "judge") world.sim.losePower(lost);
      return false;
    },
    done: (world, id) => asItIs(world, id),
    undone: { host: "a", vm: "active" },
  });
}

/** Dead or alive, but in one place only, and the server says so. */
function asItIs(world: OperationWorld, id: string): Slate {
  const [guest] = world.sim.leftovers().guests.filter(({ serverId }) => serverId === id);
  const dead = guest?.power === "crashed";
  return { host: ["a", "b"], vm: dead ? "stopped" : "active", ...(dead ? { power: "crashed" as const } : {}) };
}
