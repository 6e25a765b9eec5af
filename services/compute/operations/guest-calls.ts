import { computeVerbs } from "../../../agent/protocol/compute.ts";
import { minutes } from "../../../kernel/clock/clock.ts";
import type { EffectContext } from "../../../kernel/operations/definition.ts";
import type { ComputeDependencies } from "../dependencies.ts";
import { guestSpec } from "../guest-spec.ts";
import { getServer } from "../store/servers.ts";
import type { FlavorSnapshot } from "../store/tables.ts";
import { isSilent } from "./call-errors.ts";
import { serveVolumesOf } from "./volume-calls.ts";
import { isVouchedDead } from "./vouched-dead.ts";

/** Makes the server's guest exist on `host`, with the size of `flavor`, running or off. */
export async function ensureGuest(
  a: EffectContext,
  deps: ComputeDependencies,
  guest: { serverId: string; host: string; flavor?: FlavorSnapshot; running: boolean },
): Promise<void> {
  await serveVolumesOf(a, deps, guest.serverId);
  const spec = await guestSpec(a.read, deps, await getServer(a.read, guest.serverId), guest.flavor);
  const power = guest.running ? ("running" as const) : ("stopped" as const);
  const to = { host: guest.host };
  await a.call(computeVerbs, "compute.ensure", { spec, power }, { to, timeoutMs: deps.settings.bootTimeoutMs });
}

/** Powers the guest off, after the grace that it is given to do so itself. */
export async function stopGuest(
  a: EffectContext,
  deps: ComputeDependencies,
  guest: { serverId: string; host: string },
): Promise<void> {
  const graceMs = deps.settings.shutdownTimeoutMs;
  const options = { to: { host: guest.host }, timeoutMs: graceMs + minutes(1) };
  await a.call(computeVerbs, "compute.ensureStopped", { serverId: guest.serverId, graceMs }, options);
}

/**
 * Removes a guest before it is started elsewhere. From a host that does not answer it may still run, so this goes on
 * failing until the host returns or an operator vouches for its death with forced_down. False: left to a clean-up.
 */
export async function removeForCertain(
  a: EffectContext,
  guest: { serverId: string; host: string; disks: boolean },
): Promise<boolean> {
  return await removed(a, guest, {}, () => isVouchedDead(a.read, guest.host));
}

/** Removes a guest that runs elsewhere by now. False when its host does not answer: left to a clean-up. */
export async function removeIfReachable(
  a: EffectContext,
  guest: { serverId: string; host: string; disks: boolean },
): Promise<boolean> {
  return await removed(a, guest, { extra: guest.host }, async () => true);
}

/** False when the host does not answer and `mayBeLeft`. */
async function removed(
  a: EffectContext,
  { serverId, host, disks }: { serverId: string; host: string; disks: boolean },
  options: { extra?: string },
  mayBeLeft: () => Promise<boolean>,
): Promise<boolean> {
  try {
    await a.call(computeVerbs, "compute.ensureAbsent", { serverId, disks }, { to: { host }, ...options });
    return true;
  } catch (error) {
    if (!isSilent(error) || !(await mayBeLeft())) throw error;
    return false;
  }
}
