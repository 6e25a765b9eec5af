import { serverMatrix } from "./testing/matrix.ts";
import { HOSTS } from "./testing/operation-world.ts";

for (const storage of ["local", "shared"] as const) {
  serverMatrix({
    name: `on ${storage} storage`,
    operation: (operations) => operations.create,
    server: (world) => world.given.newServer({ storage }),
    start: (world, id) => world.given.create(id),
    done: { host: HOSTS, vm: "active" },
    undone: { host: null, vm: "error" },
  });
}

for (const boots of [false, true]) {
  serverMatrix({
    name: boots ? "that boots from a volume, which is made with it" : "with a volume of its own, and one that is made",
    operation: (operations) => operations.create,
    server: async (world) => {
      const existing = boots ? [] : [await world.given.volume()];
      return await world.given.newServer({ devices: { boots, existing, made: 1 } });
    },
    start: (world, id) => world.given.create(id, { volumes: true }),
    done: { host: HOSTS, vm: "active", volumes: "all" },
    undone: { host: null, vm: "error" },
  });
}
