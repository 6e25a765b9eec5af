import { LARGE } from "./testing/given.ts";
import { serverMatrix } from "./testing/matrix.ts";

for (const decision of ["confirm", "revert"] as const) {
  for (const storage of ["local", "shared"] as const) {
    serverMatrix({
      name: `then ${decision}, on ${storage} storage`,
      operation: (operations) => operations.resize,
      server: (world) => world.given.server({ storage }),
      start: (world, id) => world.given.resize(id, { kind: "resize", flavor: LARGE }),
      drive: async (world, id, operation) => {
        if (operation.state !== "waiting" || !operation.waitingFor.includes(decision)) return false;
        await world.given.decide(id, decision);
        return true;
      },
      done: decision === "confirm" ? { host: ["b", "c"], vm: "active", flavor: LARGE } : { host: "a", vm: "active" },
      undone: { host: "a", vm: "active" },
    });
  }
}

serverMatrix({
  name: "of a stopped server, confirmed by time",
  operation: (operations) => operations.resize,
  settings: { resizeConfirmWindowMs: 20_000 },
  server: (world) => world.given.server({ stopped: true }),
  start: (world, id) => world.given.resize(id),
  done: { host: ["b", "c"], vm: "stopped" },
  undone: { host: "a", vm: "stopped" },
});

for (const boots of [false, true]) {
  serverMatrix({
    name: boots ? "of a server that boots from a volume, then revert" : "of a server with a volume, then revert",
    operation: (operations) => operations.resize,
    server: (world) => world.given.server({ devices: { boots, made: 1 } }),
    start: (world, id) => world.given.resize(id),
    drive: async (world, id, operation) => {
      if (operation.state !== "waiting" || !operation.waitingFor.includes("revert")) return false;
      await world.given.decide(id, "revert");
      return true;
    },
    done: { host: "a", vm: "active", volumes: "all" },
    undone: { host: "a", vm: "active", volumes: "all" },
  });
}
