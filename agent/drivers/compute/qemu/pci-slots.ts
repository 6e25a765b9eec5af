import { createHash } from "node:crypto";
import { CloudError } from "../../../../kernel/errors/cloud-error.ts";

/**
 * Both ends of a migration must have every device in the same slot, and the far end knows only the spec: so a slot follows
 * from the spec alone. A card's slot comes from its port's id; where two collide, the smaller id goes first.
 */
export const SLOTS = { volumes: 2, serial: 3, root: 4, configDrive: 5, balloon: 6, random: 7 } as const;
const FIRST_CARD = 8;
const CARD_SLOTS = 24;
/** A bridge of their own: what the first bus has room for is the cards'. */
export const VOLUME_BUS = "volumes";

/**
 * Slot on the volumes' bus by device name: `/dev/vda` has the first. A guest that starts finds its disks in the order of their
 * slots, and so gives them the names that users see.
 */
export function volumeSlot(device: string): number {
  return device.charCodeAt("/dev/vd".length) - "a".charCodeAt(0) + 1;
}

/** PCI slot by port id. Throws `compute.too_many_nics` beyond 24 cards. */
export function cardSlots(portIds: readonly string[]): Map<string, number> {
  if (portIds.length > CARD_SLOTS) {
    throw new CloudError("invalid", "compute.too_many_nics", `A server can have at most ${CARD_SLOTS} network cards.`);
  }
  const slots = new Map<string, number>();
  const taken = new Set<number>();
  for (const portId of [...portIds].sort()) {
    let slot = createHash("sha256").update(portId).digest().readUInt16BE(0) % CARD_SLOTS;
    while (taken.has(slot)) slot = (slot + 1) % CARD_SLOTS;
    taken.add(slot);
    slots.set(portId, FIRST_CARD + slot);
  }
  return slots;
}
