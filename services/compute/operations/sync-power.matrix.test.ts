import { serverMatrix } from "./testing/matrix.ts";

serverMatrix({
  name: "of a guest that died",
  operation: (operations) => operations.syncPower,
  server: async (world) => {
    const id = await world.given.server();
    world.agents.partition("a");
    world.sim.crashGuest("a", id);
    await world.settle();
    world.agents.heal("a");
    return id;
  },
  start: (world, id) => world.given.only(id),
  done: { host: "a", vm: "stopped", power: "crashed" },
  undone: { host: "a", vm: "stopped", power: "crashed" },
});
