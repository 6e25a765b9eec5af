import { serverMatrix } from "./testing/matrix.ts";

for (const storage of ["local", "shared"] as const) {
  serverMatrix({
    name: `on ${storage} storage`,
    operation: (operations) => operations.delete,
    server: (world) => world.given.server({ storage }),
    start: (world, id) => world.given.delete(id),
    done: { host: ["a"], vm: "deleted" },
    undone: { host: "a", vm: "active" },
  });
}

for (const deleteOnTermination of [false, true]) {
  serverMatrix({
    name: deleteOnTermination ? "with a volume that goes with it" : "with a volume that stays",
    operation: (operations) => operations.delete,
    server: async (world) => {
      const existing = [await world.given.volume()];
      return await world.given.server({ devices: { existing, deleteOnTermination } });
    },
    start: (world, id) => world.given.delete(id),
    done: { host: ["a"], vm: "deleted" },
    undone: { host: "a", vm: "active" },
  });
}
