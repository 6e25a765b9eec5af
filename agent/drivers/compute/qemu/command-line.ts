import type { GuestSpec, GuestVolume, Nic } from "../../../protocol/compute.ts";
import { tapName } from "../network/host-network.ts";
import type { GuestFiles } from "./guest-files.ts";
import type { Accelerator, NetworkSettings } from "./options.ts";
import { cardSlots, SLOTS, VOLUME_BUS } from "./pci-slots.ts";
import { connectionNames, connectionNode, inOrder, topNode, volumeDisk } from "./volume-nodes.ts";

export const QEMU = "qemu-system-x86_64";

export interface LaunchPlan {
  spec: GuestSpec;
  files: GuestFiles;
  /** Null boots from the root volume. */
  rootDisk: string | null;
  /** Direct kernel boot; null boots from the disk. */
  boot: { kernel: string; ramdisk: string | null } | null;
  accelerator: Accelerator;
  network: NetworkSettings;
  /** `paused` waits for a `cont`, `incoming` for a migration. */
  start: "running" | "paused" | "incoming";
}

/**
 * Arguments of a guest's process. It goes into the background and outlives the agent; a guest that powers itself off
 * leaves the process behind (`-no-shutdown`), so that an agent that was away can tell a power-off from a crash.
 */
export function commandLine(plan: LaunchPlan): string[] {
  const { spec, files } = plan;
  return [
    ...["-name", `guest=${spec.instanceName}`, "-uuid", spec.serverId],
    ...["-machine", `pc,accel=${plan.accelerator},usb=off,vmport=off,graphics=off`],
    ...["-cpu", cpuModel(plan.accelerator), "-smp", String(spec.vcpus), "-m", String(spec.ramMiB)],
    ...["-nodefaults", "-no-user-config", "-display", "none", "-no-shutdown"],
    ...["-sandbox", "on,obsolete=deny,resourcecontrol=deny"],
    ...kernelArguments(plan),
    ...socket("qmp", files.qmp),
    ...["-mon", "chardev=qmp,mode=control"],
    ...socket("serial", files.serial, `,logfile=${escaped(files.serialLog)},logappend=on`),
    ...["-serial", "chardev:serial"],
    ...["-device", device({ driver: "virtio-serial-pci", id: "ports", addr: slot(SLOTS.serial) })],
    ...socket("agent", files.agent),
    ...["-device", device({ driver: "virtserialport", chardev: "agent", name: "org.qemu.guest_agent.0" })],
    ...rootDiskArguments(plan.rootDisk),
    ...["-device", device({ driver: "pci-bridge", id: VOLUME_BUS, chassis_nr: 1, addr: slot(SLOTS.volumes) })],
    ...inOrder(spec.volumes).flatMap(volumeArguments),
    ...["-blockdev", JSON.stringify(configBlockNode(files.configDrive))],
    ...configDevices().flatMap((each) => ["-device", device(each)]),
    ...["-device", device({ driver: "virtio-balloon-pci", addr: slot(SLOTS.balloon) })],
    ...["-device", device({ driver: "virtio-rng-pci", addr: slot(SLOTS.random) })],
    ...cardArguments(plan),
    ...(plan.start === "paused" ? ["-S"] : []),
    ...(plan.start === "incoming" ? ["-incoming", "defer"] : []),
    ...["-pidfile", files.pid, "-daemonize"],
  ];
}

/** A nested KVM that offers more than it can do aborts without the exception. */
export function cpuModel(accelerator: Accelerator): string {
  return accelerator === "kvm" ? "host,-arch-capabilities" : "qemu64";
}

export const CONFIG_CONTROLLER = "config-controller";
export const CONFIG_NODE = "config";
/** Names of a card's device and of what it is plugged into. */
export const cardDevice = (portId: string): string => `card-${portId}`;
export const cardBackend = (portId: string): string => `net-${portId}`;

export function configBlockNode(path: string): object {
  return { driver: "raw", "node-name": CONFIG_NODE, "read-only": true, file: { driver: "file", filename: path } };
}

/**
 * Guests find the drive by its serial number or by the label of its file system. A SCSI disk, so that the names that guests give to
 * virtio disks are those of root disk and volumes; with a controller of its own, which a guest lets go of before it is replaced.
 */
export function configDevices(): Record<string, unknown>[] {
  return [
    { driver: "virtio-scsi-pci", id: CONFIG_CONTROLLER, addr: slot(SLOTS.configDrive) },
    { driver: "scsi-hd", id: "disk-config", bus: `${CONFIG_CONTROLLER}.0`, drive: CONFIG_NODE, serial: "config-2" },
  ];
}

/** The side of a card that faces the host. */
export function netBackend(nic: Nic, network: NetworkSettings): Record<string, unknown> {
  const id = cardBackend(nic.portId);
  if (network.kind === "namespace") {
    return { type: "tap", id, ifname: tapName(nic.portId), script: "no", downscript: "no", vhost: false };
  }
  const fixed = nic.fixedIps.find((ip) => ip.address.includes("."));
  if (!fixed) return { type: "user", id };
  const gateway = fixed.gateway?.includes(".") ? { host: fixed.gateway } : {};
  return { type: "user", id, net: `${fixed.address}/${fixed.prefix}`, ...gateway, dhcpstart: fixed.address };
}

export function netDevice(nic: Nic, portIds: readonly string[]): Record<string, unknown> {
  const at = cardSlots(portIds).get(nic.portId);
  return {
    driver: "virtio-net-pci",
    id: cardDevice(nic.portId),
    netdev: cardBackend(nic.portId),
    mac: nic.mac,
    host_mtu: nic.mtu,
    romfile: "",
    ...(at === undefined ? {} : { addr: slot(at) }),
  };
}

function rootDiskArguments(path: string | null): string[] {
  if (path === null) return [];
  const file = { driver: "file", filename: path, discard: "unmap" };
  const node = { driver: "qcow2", "node-name": "root", discard: "unmap", file };
  const disk = { driver: "virtio-blk-pci", id: "disk-root", drive: "root", addr: slot(SLOTS.root), bootindex: 1 };
  return ["-blockdev", JSON.stringify(node), "-device", device(disk)];
}

function volumeArguments(volume: GuestVolume): string[] {
  const [connection] = connectionNames(volume);
  return [
    ...["-blockdev", JSON.stringify(connectionNode(volume, connection))],
    ...["-blockdev", JSON.stringify(topNode(volume, connection))],
    ...["-device", device(volumeDisk(volume))],
  ];
}

/** An emulated guest on a busy host gets too few ticks while it looks for its timer, and Linux gives up: it is told not to look. */
function kernelArguments({ boot, accelerator }: LaunchPlan): string[] {
  if (!boot) return [];
  const ramdisk = boot.ramdisk === null ? [] : ["-initrd", boot.ramdisk];
  const timer = accelerator === "tcg" ? " no_timer_check" : "";
  return ["-kernel", boot.kernel, ...ramdisk, "-append", `console=ttyS0 quiet root=/dev/vda${timer}`];
}

function cardArguments({ spec, network }: LaunchPlan): string[] {
  const portIds = spec.nics.map((nic) => nic.portId);
  return spec.nics.flatMap((nic) => [
    ...["-netdev", JSON.stringify(netBackend(nic, network))],
    ...["-device", device(netDevice(nic, portIds))],
  ]);
}

function socket(id: string, path: string, more = ""): string[] {
  return ["-chardev", `socket,id=${id},path=${escaped(path)},server=on,wait=off${more}`];
}

/** A comma ends an option; two stand for one. */
const escaped = (path: string): string => path.replaceAll(",", ",,");
const slot = (number: number): string => number.toString(16);
const device = (properties: Record<string, unknown>): string => JSON.stringify(properties);
