import { serverMatrix } from "./testing/matrix.ts";

for (const storage of ["local", "shared"] as const) {
  serverMatrix({
    name: `from a host that died, on ${storage} storage`,
    operation: (operations) => operations.evacuate,
    server: (world) => world.given.server({ storage }),
    start: async (world, id) => {
      const options = await world.given.evacuate(id);
      // The host died, and is back by the time it is to be cleaned.
      world.sim.losePower("a");
      return options;
    },
    done: { host: ["b", "c"], vm: "active" },
    // Its guest is off as it was found.
    undone: { host: "a", vm: "active", power: "crashed", shown: "running" },
  });
}

for (const boots of [false, true]) {
  serverMatrix({
    name: boots
      ? "from a host that died, of a server that boots from a volume"
      : "from a host that died, with a volume",
    operation: (operations) => operations.evacuate,
    server: (world) => world.given.server({ devices: { boots, made: 1 } }),
    start: async (world, id) => {
      const options = await world.given.evacuate(id);
      world.sim.losePower("a");
      return options;
    },
    done: { host: ["b", "c"], vm: "active", volumes: "all" },
    undone: { host: "a", vm: "active", power: "crashed", shown: "running", volumes: "all" },
  });
}
