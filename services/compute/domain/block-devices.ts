import { CloudError } from "../../../kernel/errors/cloud-error.ts";

/** What the rules look at. */
interface Device {
  readonly device: string;
  readonly boot_index: number | null;
  readonly state: string;
}

export const ROOT_DEVICE = "/dev/vda";
const LETTERS = "bcdefghijklmnopqrstuvwxyz";

/** The next free name for a disk beside the root disk. Throws 403 when the guest can have no more. */
export function nextDevice(devices: readonly Pick<Device, "device">[]): string {
  const taken = new Set(devices.map(({ device }) => device));
  const free = [...LETTERS].map((letter) => `/dev/vd${letter}`).find((name) => !taken.has(name));
  if (free) return free;
  throw new CloudError(
    "forbidden",
    "compute.too_many_disks",
    `The maximum allowed number of disk devices (${LETTERS.length}) to attach to a single instance has been exceeded.`,
  );
}

/** What users may write for a device; the name itself is chosen here, as Nova's QEMU driver chooses it. Throws 400. */
export function mustBeDevicePath(device: string): void {
  if (/^(\/dev\/)?[a-z]{1,10}[0-9]{0,3}$/.test(device)) return;
  throw new CloudError(
    "invalid",
    "compute.invalid_device",
    `The supplied device path (${device.slice(0, 80)}) is invalid.`,
  );
}

/** The disk that a server boots from stays. Throws 403. */
export function mustNotBeRoot(device: Device): void {
  if (device.boot_index !== 0) return;
  throw new CloudError("forbidden", "compute.root_volume", "Cannot detach a root device volume");
}

/** Of these a guest is told. */
export function isInGuest({ state }: Pick<Device, "state">): boolean {
  return state === "present" || state === "leaving";
}
