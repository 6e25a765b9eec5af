import { serverMatrix } from "./testing/matrix.ts";

for (const name of ["injectNetworkInfo", "resetNetwork", "syncInterfaces"] as const) {
  serverMatrix({
    name: "of a running guest",
    operation: (operations) => operations[name],
    server: (world) => world.given.server(),
    start: (world, id) => world.given.only(id),
    done: { host: "a", vm: "active" },
    undone: { host: "a", vm: "active" },
  });
}
