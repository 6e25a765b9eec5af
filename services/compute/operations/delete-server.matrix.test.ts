import { serverMatrix } from "./testing/matrix.ts";

for (const storage of ["local", "shared"] as const) {
  serverMatrix({
    name: `on ${storage} storage`,
    operation: (operations) => operations.delete,
    server: (world) => world.given.server({ storage }),
    start: (world, id) => world.given.delete(id),
    done: { host: ["a"], vm: "deleted" },
    undone: { host: "a", vm: "active" },
    stores: storage === "shared" ? ["sqlite", "postgres"] : ["sqlite"],
  });
}
