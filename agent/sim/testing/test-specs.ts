import { type IdSource, sequentialIds } from "../../../kernel/ids/ids.ts";
import type { DiskStorage, GuestSpec, GuestVolume } from "../../protocol/compute.ts";

/** Small guests for tests of drivers and agents, each with ids, names and addresses of its own. */
export function testSpecs(ids: IdSource = sequentialIds(7)): {
  next(options?: { storage?: DiskStorage; nics?: number }): GuestSpec;
} {
  let count = 0;
  const networkId = ids.uuid();
  const imageId = ids.uuid();
  return {
    next({ storage = "local", nics = 1 } = {}) {
      count += 1;
      return {
        serverId: ids.uuid(),
        instanceName: `instance-${count.toString(16).padStart(8, "0")}`,
        hostname: `guest-${count}`,
        vcpus: 1,
        ramMiB: 128,
        rootDisk: {
          sizeGiB: 1,
          storage,
          image: { imageId, format: "qcow2", sizeBytes: 1024, sha256: "0".repeat(64) },
        },
        volumes: [],
        kernel: null,
        ramdisk: null,
        nics: Array.from({ length: nics }, (_, card) => ({
          portId: ids.uuid(),
          mac: `fa:16:3e:${hex(count >> 8)}:${hex(count & 255)}:${hex(card)}`,
          networkId,
          segment: 1001,
          mtu: 1450,
          fixedIps: [{ address: `10.0.${card}.${(count % 250) + 2}`, prefix: 24, gateway: `10.0.${card}.1` }],
          dnsServers: [],
        })),
        metadata: {},
        userData: null,
        publicKeys: [],
      };
    },
  };
}

/** A volume as a guest's spec names it. No driver of the simulation connects to it. */
export function testVolume(volumeId: string, changes: Partial<GuestVolume> = {}): GuestVolume {
  const connection = { kind: "unix", path: "/run/volumes.sock", export: volumeId } as const;
  return { volumeId, device: "/dev/vdb", connection, readOnly: false, root: false, ...changes };
}

const hex = (n: number): string => (n & 255).toString(16).padStart(2, "0");
