import { serverMatrix } from "./testing/matrix.ts";

serverMatrix({
  name: "of a guest that has lost a disk",
  operation: (operations) => operations.syncVolumes,
  server: async (world) => {
    const existing = [await world.given.volume(), await world.given.volume()];
    const id = await world.given.server({ devices: { existing } });
    const [host, guest] = [world.sim.host("a"), world.sim.host("a")?.guests.get(id)];
    if (host && guest) world.sim.volumes.plug(host, guest, guest.volumes.slice(1));
    return id;
  },
  start: (world, id) => world.given.only(id),
  done: { host: "a", vm: "active", volumes: "all" },
  // It has its disk or has not, depending on when it was told: the next comparison looks again.
  undone: (world, id) => {
    const plugged =
      world.sim
        .host("a")
        ?.guests.get(id)
        ?.volumes.map((volume) => volume.volumeId) ?? [];
    return { host: "a", vm: "active", volumes: "all", plugged };
  },
});
