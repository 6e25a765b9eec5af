import { type Slate, serverMatrix } from "./testing/matrix.ts";

for (const stopped of [false, true]) {
  const rest: Slate = { host: "a", vm: stopped ? "stopped" : "active" };
  let volumeId = "";
  serverMatrix({
    name: stopped ? "to a guest that is off" : "to a guest that runs",
    operation: (operations) => operations.attachVolume,
    server: async (world) => {
      volumeId = await world.given.volume();
      return await world.given.server({ stopped });
    },
    start: (world, id) => world.given.attach(id, volumeId),
    done: () => ({ ...rest, volumes: [volumeId] }),
    undone: rest,
  });
}
