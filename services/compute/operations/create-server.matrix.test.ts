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
    stores: storage === "local" ? ["sqlite", "postgres"] : ["sqlite"],
  });
}
