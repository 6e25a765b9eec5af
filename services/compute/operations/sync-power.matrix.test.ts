import { serverMatrix } from "./testing/matrix.ts";

serverMatrix({
  name: "of a guest that died",
  // The agent's own report starts a second one, which on PostgreSQL may win the race for a step.
  stores: ["sqlite"],
  operation: (operations) => operations.syncPower,
  server: async (world) => {
    const id = await world.given.server();
    world.agents.partition("a");
    world.sim.crashGuest("a", id);
    await world.agents.settle();
    world.agents.heal("a");
    return id;
  },
  start: (world, id) => world.given.only(id),
  done: { host: "a", vm: "stopped", power: "crashed" },
  undone: { host: "a", vm: "stopped", power: "crashed" },
});
