import { blockDevicesOf } from "../store/block-devices.ts";
import { transition } from "../store/servers.ts";
import { serverMatrix } from "./testing/matrix.ts";

serverMatrix({
  name: "of a server that was never built",
  operation: (operations) => operations.releaseVolume,
  server: async (world) => {
    const volumeId = await world.given.volume();
    const serverId = await world.given.newServer({ devices: { existing: [volumeId] } });
    const { deps } = world.harness;
    await world.tools.store.tx(async (t) => {
      await deps.network.releasePorts(t, serverId);
      const to = { vm: "error" as const, task: null };
      await transition(t, { clock: deps.kernel.clock, id: serverId, from: {}, to, action: "create" });
    });
    return serverId;
  },
  start: async (world, serverId) => {
    const [row] = await blockDevicesOf(world.tools.store.read, serverId);
    const input = { serverId, deviceId: row?.id ?? "", volumeId: row?.volume_id ?? "" };
    return await world.given.prepared(serverId, "release", undefined, input);
  },
  done: { host: null, vm: "error" },
  undone: { host: null, vm: "error" },
});
