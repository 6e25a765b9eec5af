import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import type { GuestSpec } from "../../../protocol/compute.ts";
import type { Call } from "../../../runtime/call.ts";
import { orAborted } from "../../../sim/sim-faults.ts";
import type { ColdMigration } from "../driver.ts";
import type { SimActs } from "./sim-acts.ts";
import { type SimDisk, SimGuest } from "./sim-host.ts";

const SCHEME = "sim-disk://";

export function simColdMigration(acts: SimActs): ColdMigration {
  const { world, host } = acts;

  function servedDisk(diskUri: string): SimDisk {
    const [hostName = "", serverId = ""] = diskUri.slice(SCHEME.length).split("/");
    const source = world.host(hostName);
    const disk = source?.served.has(serverId) ? source.disks.get(serverId) : undefined;
    if (disk) return disk;
    throw new CloudError("unavailable", "compute.disk_not_served", "The source does not serve the disk.");
  }

  function copy(spec: GuestSpec, diskUri: string, call: Call): Promise<void> {
    servedDisk(diskUri);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const work = world.works.begin({
      totalMs: world.copyMs,
      onStep: (fraction) => call.progress(fraction * 100),
      onEnd: () => {
        try {
          world.copyDisk(servedDisk(diskUri), host, spec);
          resolve();
        } catch (error) {
          reject(error);
        }
      },
    });
    return orAborted(promise, AbortSignal.any([call.signal, acts.closing])).finally(() => work.cancel());
  }

  return {
    serveDisk: (serverId, call) =>
      acts.act("compute.serveDisk", call.signal, () => {
        const guest = acts.guest(serverId);
        if (guest.active) {
          throw new CloudError("conflict", "compute.guest_running", `Server ${serverId} must be stopped first.`);
        }
        if (guest.spec.rootDisk?.storage !== "local") return null;
        host.served.add(serverId);
        return `${SCHEME}${host.name}/${serverId}`;
      }),
    ensureDiskNotServed: (serverId, call) =>
      acts.act("compute.ensureDiskNotServed", call.signal, () => void host.served.delete(serverId)),
    receiveDisk: (spec, diskUri, call) =>
      acts.act("compute.receiveDisk", call.signal, async () => {
        const { serverId } = spec;
        if (host.guests.get(serverId)?.active) {
          throw new CloudError("conflict", "compute.guest_running", `Server ${serverId} runs here.`);
        }
        if (diskUri !== null) await copy(spec, diskUri, call);
        else if (spec.rootDisk !== null && !world.disks(host, spec.rootDisk.storage).has(serverId)) {
          throw new CloudError("conflict", "compute.disk_missing", `The disk of ${serverId} is not on this host.`);
        }
        world.ensureDisk(host, spec);
        const guest = host.guests.get(serverId) ?? new SimGuest(spec);
        guest.spec = spec;
        guest.nics = spec.nics;
        world.volumes.plug(host, guest, spec.volumes);
        host.guests.set(serverId, guest);
      }),
  };
}
