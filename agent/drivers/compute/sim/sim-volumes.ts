import type { GuestVolumes } from "../driver.ts";
import type { SimActs } from "./sim-acts.ts";

export function simVolumes(acts: SimActs): GuestVolumes {
  const { world, host } = acts;
  return {
    ensureVolumes: (spec, call) =>
      acts.act("compute.ensureVolumes", call.signal, () => {
        const guest = acts.guest(spec.serverId);
        acts.requireSettled(guest);
        world.volumes.requireLetsGo(guest, spec.volumes);
        guest.spec = { ...guest.spec, volumes: spec.volumes };
        world.volumes.plug(host, guest, spec.volumes);
        return guest.facts();
      }),
    ensureVolumeSize: (serverId, { volumeId, sizeBytes }, call) =>
      acts.act("compute.ensureVolumeSize", call.signal, () => {
        const guest = acts.guest(serverId);
        acts.requireSettled(guest);
        const has = guest.active && guest.volumes.some((volume) => volume.volumeId === volumeId);
        if (has) guest.volumeSizes.set(volumeId, sizeBytes);
      }),
  };
}
