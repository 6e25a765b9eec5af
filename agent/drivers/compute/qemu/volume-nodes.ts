import { createHash } from "node:crypto";
import type { GuestVolume } from "../../../protocol/compute.ts";
import type { Connection } from "../../../protocol/connection.ts";
import { SLOTS, VOLUME_BUS, volumeSlot } from "./pci-slots.ts";

/**
 * How long the guest's requests wait for a server that is gone before they fail: a year. What serves a volume comes back at the
 * same address, restarted or failed over, and until then the guest's disk pauses as if it were slow. It never sees an error.
 */
const RECONNECT_S = 365 * 24 * 3600;
/** QEMU's limit is 31. */
const KEY_DIGITS = 16;
const HASH_DIGITS = 11;
/** What a virtio disk has room for, and what OpenStack's guests find in `/dev/disk/by-id/virtio-…`. */
const SERIAL_LENGTH = 20;

const DEVICE = "disk-";
export const volumeDevice = (volumeId: string): string => `${DEVICE}${volumeId}`;

/** The volume that the device is the disk of; undefined for the guest's other devices. */
export function volumeOf(device: string): string | undefined {
  const id = device.startsWith(DEVICE) ? device.slice(DEVICE.length) : "";
  return id.length === 36 ? id : undefined;
}

/** The node that the guest's disk reads and writes for as long as the guest has the volume; under it the connection may change. */
export const volumeNode = (volumeId: string): string => `v${key(volumeId)}`;

/** What the names of all connections of the volume begin with. */
export const connectionPrefix = (volumeId: string): string => `n${key(volumeId)}-`;

/**
 * The two nodes that may be a volume's connection to this server. The name says where it leads, so that what QEMU has tells how
 * far an earlier command got. Two, so that a new one to the same server can take the place of the first.
 */
export function connectionNames({ volumeId, connection, readOnly }: GuestVolume): [string, string] {
  const where = JSON.stringify([server(connection), connection.export, readOnly]);
  const hash = createHash("sha256").update(where).digest("hex").slice(0, HASH_DIGITS);
  const name = `${connectionPrefix(volumeId)}${hash}-`;
  return [`${name}0`, `${name}1`];
}

export function connectionNode(volume: GuestVolume, name: string): Record<string, unknown> {
  return {
    driver: "nbd",
    "node-name": name,
    "read-only": volume.readOnly,
    discard: "unmap",
    server: server(volume.connection),
    export: volume.connection.export,
    "reconnect-delay": RECONNECT_S,
  };
}

export function topNode({ volumeId, readOnly }: GuestVolume, connection: string): Record<string, unknown> {
  return {
    driver: "raw",
    "node-name": volumeNode(volumeId),
    "read-only": readOnly,
    discard: "unmap",
    file: connection,
  };
}

/** A disk that fails is the guest's to know: stopping it all would take everything else in it down too. */
export function volumeDisk(volume: GuestVolume): Record<string, unknown> {
  const place = volume.root
    ? { addr: SLOTS.root.toString(16), bootindex: 1 }
    : { bus: VOLUME_BUS, addr: volumeSlot(volume.device).toString(16) };
  return {
    driver: "virtio-blk-pci",
    id: volumeDevice(volume.volumeId),
    drive: volumeNode(volume.volumeId),
    serial: volume.volumeId.slice(0, SERIAL_LENGTH),
    rerror: "report",
    werror: "report",
    ...place,
  };
}

/** In the order in which the guest is to find them. */
export function inOrder(volumes: readonly GuestVolume[]): GuestVolume[] {
  return volumes.toSorted((one, other) => (one.device < other.device ? -1 : 1));
}

/** As QEMU's block drivers take it. */
function server(connection: Connection): Record<string, string> {
  if (connection.kind === "unix") return { type: "unix", path: connection.path };
  return { type: "inet", host: connection.host, port: String(connection.port) };
}

const key = (volumeId: string): string => volumeId.replaceAll("-", "").slice(0, KEY_DIGITS);
