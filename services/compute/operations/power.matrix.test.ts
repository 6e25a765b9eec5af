import type { VmState } from "../domain/server-state.ts";
import type { PowerAction } from "./power.ts";
import { serverMatrix } from "./testing/matrix.ts";

const CHANGES: readonly { action: PowerAction; from: VmState; to: VmState }[] = [
  { action: "start", from: "stopped", to: "active" },
  { action: "stop", from: "active", to: "stopped" },
  { action: "reboot", from: "active", to: "active" },
  { action: "pause", from: "active", to: "paused" },
  { action: "unpause", from: "paused", to: "active" },
];

for (const { action, from, to } of CHANGES) {
  serverMatrix({
    name: `from ${from}`,
    operation: (operations) => operations.power[action],
    server: async (world) => {
      const id = await world.given.server({ stopped: from === "stopped" });
      if (from === "paused") {
        await world.given.start(world.harness.operations.power.pause, await world.given.power(id, "pause"));
        await world.toTheEnd();
      }
      return id;
    },
    start: (world, id) => world.given.power(id, action),
    done: { host: "a", vm: to },
    undone: { host: "a", vm: from },
  });
}

for (const type of ["hard", "soft"] as const) {
  serverMatrix({
    name: `${type}, of a server whose guest is gone`,
    operation: (operations) => operations.power.reboot,
    server: async (world) => {
      const id = await world.given.server();
      world.sim.host("a")?.guests.delete(id);
      return id;
    },
    start: (world, id) => world.given.power(id, "reboot", type),
    done: { host: "a", vm: "active" },
    // A guest that was made again before the operation failed is kept.
    undone: (world, id) =>
      world.sim.host("a")?.guests.has(id)
        ? { host: "a", vm: "active" }
        : { host: "a", vm: "stopped", power: "gone", shown: "stopped" },
  });
}
