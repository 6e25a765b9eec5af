import { isRefusal, type Qmp } from "../../../process/qmp.ts";
import type { Nic } from "../../../protocol/compute.ts";
import { cardBackend, cardDevice, netBackend, netDevice } from "./command-line.ts";
import type { Guest } from "./guest.ts";
import { unresponsive } from "./guest-agent.ts";
import type { Host } from "./host.ts";
import { cardSlots } from "./pci-slots.ts";

/** A guest that has not let go of a device by then has no hot plug, or does not live. */
const UNPLUG_LIMIT_MS = 20_000;

/** Plugs and unplugs cards until the running guest has exactly those of its spec, each in its slot. */
export async function bringCards(host: Host, guest: Guest, signal: AbortSignal): Promise<void> {
  const { nics } = guest.spec;
  const slots = cardSlots(nics.map((nic) => nic.portId));
  const qmp = await guest.qmp();
  for (const portId of await guest.portIds()) {
    const slot = slots.get(portId);
    if (slot !== undefined && (await slotOf(qmp, portId)) === slot) continue;
    await unplug(host, guest, cardDevice(portId), signal);
    if (slot !== undefined) continue;
    await ensureBackendAbsent(qmp, portId);
    await host.network?.ensureTapAbsent(portId);
  }
  const present = new Set(await guest.portIds());
  for (const nic of nics) if (!present.has(nic.portId)) await plug(host, guest, nic);
}

/** Plugs in a card that the guest does not have, after renewing what it is plugged into. */
export async function plug(host: Host, guest: Guest, nic: Nic): Promise<void> {
  const qmp = await guest.qmp();
  await ensureBackendAbsent(qmp, nic.portId);
  await host.network?.ensureTap(nic);
  await qmp.execute("netdev_add", netBackend(nic, host.options.network));
  const portIds = guest.spec.nics.map((each) => each.portId);
  await qmp.execute("device_add", netDevice(nic, portIds));
}

/** Takes a device from the running guest. Fine when it is gone. Throws `compute.guest_unresponsive` when the guest keeps it. */
export async function unplug(host: Host, guest: Guest, device: string, signal: AbortSignal): Promise<void> {
  if (!(await guest.devices()).includes(device)) return;
  const qmp = await guest.qmp();
  const { clock } = host.options;
  const until = clock.now() + UNPLUG_LIMIT_MS;
  await qmp.execute("device_del", { id: device }).catch((error: unknown) => {
    // Asked for before, and the guest has not answered yet.
    if (!isRefusal(error)) throw error;
  });
  while ((await guest.devices()).includes(device)) {
    signal.throwIfAborted();
    if (clock.now() >= until) throw unresponsive(`${device} was not released`);
    await qmp.changed(200);
  }
}

/** QEMU has no way to ask whether it is there. */
async function ensureBackendAbsent(qmp: Qmp, portId: string): Promise<void> {
  await qmp.execute("netdev_del", { id: cardBackend(portId) }).catch((error: unknown) => {
    if (!isRefusal(error)) throw error;
  });
}

/** QEMU tells slot and function in one number. */
async function slotOf(qmp: Qmp, portId: string): Promise<number> {
  const path = `/machine/peripheral/${cardDevice(portId)}`;
  return (await qmp.execute<number>("qom-get", { path, property: "addr" })) >> 3;
}
