import { computeVerbs } from "../../../agent/protocol/compute.ts";
import { type Clock, minutes, seconds } from "../../../kernel/clock/clock.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { liveOperations } from "../../../kernel/operations/control.ts";
import type { EffectContext, Operation, Wait } from "../../../kernel/operations/definition.ts";
import { operation } from "../../../kernel/operations/definition.ts";
import type { Queries, Tx } from "../../../kernel/store/store.ts";
import type { ComputeDependencies } from "../dependencies.ts";
import { POWER } from "../domain/server-state.ts";
import { guestSpec } from "../guest-spec.ts";
import { allocationsOf, release } from "../store/allocations.ts";
import { getHost } from "../store/hosts.ts";
import { completeEvacuations } from "../store/migration-records.ts";
import { getServer, lockServer, transition } from "../store/servers.ts";
import type { ComputeTables, ServerRow } from "../store/tables.ts";
import { isSilent } from "./call-errors.ts";
import { freeAddresses } from "./free-addresses.ts";
import { judgeMigration } from "./judge-migration.ts";
import { moveEnds } from "./move-ends.ts";
import { freeVolumes, type ReleaseVolumeInput } from "./release-volume.ts";
import { startSyncPower } from "./sync-power.ts";
import { CLEANUP } from "./unsettled.ts";
import { isVouchedDead } from "./vouched-dead.ts";

export interface CleanupInput {
  readonly serverId: string;
  /** A host that is not the server's own, but may hold something of it. */
  readonly host: string;
  /** When the guest turns out to run there and nowhere else, make that host the server's own. */
  readonly mayAdopt: boolean;
  /** Nothing will use the server's disk any more, wherever it is: it goes too. */
  readonly everything?: boolean;
}

/** Sent when the host's agent has come back. */
export const HOST_BACK = "host_back";
/** How long a host that does not answer is left alone. */
const RECHECK_MS = seconds(30);

/**
 * Removes what an interrupted or finished move left on a host, then gives the room back. Only goes forward: a host that
 * is down is cleaned when it returns; until then the room stays taken and no scheduler sends the server there.
 */
export function cleanupOperation(
  deps: ComputeDependencies,
  releaseVolume: Operation<ReleaseVolumeInput>,
): Operation<CleanupInput> {
  const { clock } = deps.kernel;
  const self: Operation<CleanupInput> = operation<CleanupInput>(CLEANUP, {
    resource: "server",
    deadlineMs: minutes(60),
  })
    .pivot()
    .step("look", {
      tx: async (t, { input }) => {
        const server = await serverEvenDeleted(t, input.serverId);
        const held = (await allocationsOf(t, input.serverId)).some((row) => row.host === input.host);
        const home = server && server.deleted_at === null ? server.host : null;
        return { needed: held && home !== input.host, home };
      },
    })
    .step("judge", {
      when: ({ input, out }) => out.look.needed && out.look.home !== null && input.mayAdopt,
      eventHost: ({ input }) => input.host,
      effect: (a, { input, out }) =>
        patiently(a, clock, async () => ({ adopt: await isOnlyThere(a, input, out.look.home) })),
    })
    .step("finish", {
      when: ({ out }) => out.judge?.adopt === true,
      eventHost: ({ input }) => input.host,
      effect: (a, { input }) =>
        patiently(a, clock, async () => {
          const server = await getServer(a.read, input.serverId);
          const spec = await guestSpec(a.read, deps, server);
          const paused = server.vm_state === "paused";
          const to = { host: input.host };
          const { power } = await a.call(computeVerbs, "compute.finishIncoming", { spec, paused }, { to });
          return { lives: hasControl(power) };
        }),
    })
    .step("adopt", {
      when: ({ out }) => out.judge?.adopt === true,
      // Nothing but a deletion or an evacuation can have begun since (see `isUnsettled`); those decide by themselves.
      tx: async (t, { input, out }) => {
        const server = await serverEvenDeleted(t, input.serverId);
        if (!server || server.deleted_at !== null || server.host !== out.look.home) return false;
        // The guest here is the only one: it must not be removed because somebody is busy with the server just now.
        if (server.task_state !== null) throw busy(server.id);
        const { zone } = await getHost(t, input.host);
        const runs = server.vm_state !== "paused";
        const set = { host: input.host, zone, power_state: runs ? POWER.running : POWER.paused };
        // In the meantime it may have been taken for stopped.
        const to = { set, ...(server.vm_state === "stopped" ? { vm: "active" as const } : {}) };
        await transition(t, { clock, id: input.serverId, from: {}, to, action: "adopt" });
        await moveEnds(t, deps, input.serverId, input.host);
        if (out.finish?.lives === false) await startSyncPower(t, deps, input.serverId);
        await cleanElsewhere(t, deps, self, { serverId: input.serverId, home: input.host, mayAdopt: false });
        return true;
      },
    })
    .step("remove", {
      when: ({ out }) => out.look.needed && out.adopt !== true,
      eventHost: ({ input }) => input.host,
      effect: (a, { input }) =>
        patiently(a, clock, async () => {
          const server = await serverEvenDeleted(a.read, input.serverId);
          if (server?.deleted_at === null && server.host === input.host) return;
          const disks = mayRemoveDisk(server, input);
          const gone = !server || server.deleted_at !== null || input.everything === true || server.host === null;
          const command = { serverId: input.serverId, disks, evenIfOwnedElsewhere: disks && gone };
          await a.call(computeVerbs, "compute.ensureAbsent", command, { to: { host: input.host } });
        }),
    })
    .step("release", {
      when: ({ out }) => out.look.needed && out.adopt !== true,
      tx: async (t, { input }) => {
        await release(t, input.serverId, input.host);
        await freeAddresses(t, deps.network, input.serverId);
        await freeVolumes(t, deps, releaseVolume, input.serverId);
        await completeEvacuations(t, clock, input.serverId, input.host);
      },
    })
    .build();
  return self;
}

/**
 * Starts the clean-up of one host in the caller's transaction. Never two of one host: the second could remove what came
 * there after the first had given the room back.
 */
export async function startCleanup(
  t: Tx,
  deps: ComputeDependencies,
  cleanup: Operation<CleanupInput>,
  input: CleanupInput,
): Promise<void> {
  await lockServer(t, input.serverId);
  for (const live of await liveOperations(t, input.serverId)) {
    if (live.name === CLEANUP && (JSON.parse(live.input) as CleanupInput).host === input.host) return;
  }
  await deps.kernel.operations.start(t, cleanup, { input, resourceId: input.serverId });
}

/** Cleans every host but the server's own that may hold something of it. */
export async function cleanElsewhere(
  t: Tx,
  deps: ComputeDependencies,
  cleanup: Operation<CleanupInput>,
  server: { serverId: string; home: string | null; mayAdopt: boolean },
): Promise<void> {
  const { serverId, home, mayAdopt } = server;
  for (const { host } of await allocationsOf(t, serverId))
    if (host !== home) await startCleanup(t, deps, cleanup, { serverId, host, mayAdopt });
}

/** The host's agent is back: what waits for it need not wait any longer. */
export async function hostIsBack(t: Tx, deps: ComputeDependencies, host: string): Promise<void> {
  const waiting = await t
    .tables<ComputeTables>()
    .selectFrom("allocations")
    .innerJoin("servers", "servers.id", "allocations.server_id")
    .select("servers.id")
    .where("allocations.host", "=", host)
    .where((eb) =>
      eb.or([eb("servers.host", "is", null), eb("servers.host", "!=", host), eb("deleted_at", "is not", null)]),
    )
    .execute();
  for (const { id } of waiting) {
    for (const live of await liveOperations(t, id))
      if (live.name === CLEANUP && live.state === "waiting") await deps.kernel.operations.signal(t, live.id, HOST_BACK);
  }
}

/** A host that does not answer is waited for, however long. */
async function patiently<T>(a: EffectContext, clock: Clock, work: () => Promise<T>): Promise<T | Wait> {
  a.received(HOST_BACK);
  try {
    return await work();
  } catch (error) {
    if (!isSilent(error)) throw error;
    return a.wait({ untilMs: clock.now() + RECHECK_MS, signals: [HOST_BACK] });
  }
}

/** An abandoned move may have ended anywhere: stops what still moves, then looks where the guest is. */
async function isOnlyThere(a: EffectContext, input: CleanupInput, home: string | null): Promise<boolean> {
  if (home === null) return false;
  const { serverId, host } = input;
  // Under a subject of its own, so that a new operation at the server's own host is not disturbed.
  const subject = `${serverId}/tidy`;
  const { arrived, handedOver } = await judgeMigration(a, { serverId, source: home, destination: host, subject });
  await endService(a, home, serverId, subject);
  if (!arrived) return false;
  const one = { serverId };
  const extra = `look-${a.attempt}`;
  const { guest } = await a.call(computeVerbs, "compute.inspect", one, { to: { host }, extra });
  if (!hasControl(guest?.power)) {
    // It left its home and died here before anybody had noted that it came; unless it left for yet another host.
    return handedOver && guest?.power === "crashed" && !(await isElsewhere(a.read, serverId, [home, host]));
  }
  if (await isVouchedDead(a.read, home)) return true;
  const atHome = await a.call(computeVerbs, "compute.inspect", one, { to: { host: home }, extra: `${extra}-home` });
  return !hasControl(atHome.guest?.power);
}

async function isElsewhere(q: Queries, serverId: string, hosts: readonly string[]): Promise<boolean> {
  return (await allocationsOf(q, serverId)).some((row) => !hosts.includes(row.host));
}

async function endService(a: EffectContext, home: string, serverId: string, subject: string): Promise<void> {
  const options = { to: { host: home }, subject };
  try {
    await a.call(computeVerbs, "compute.ensureDiskNotServed", { serverId }, options);
  } catch (error) {
    if (!isSilent(error)) throw error;
  }
}

function hasControl(power: string | undefined): boolean {
  return power === "running" || power === "paused";
}

/** A shared disk belongs to the server, not to the host that is cleaned. */
function mayRemoveDisk(server: ServerRow | undefined, input: CleanupInput): boolean {
  if (!server || input.everything || server.deleted_at !== null || server.storage !== "shared") return true;
  return server.host === null && server.vm_state === "error";
}

function busy(serverId: string): CloudError {
  return new CloudError("unavailable", "compute.server_busy", `Instance ${serverId} is being worked on.`);
}

async function serverEvenDeleted(q: Queries, id: string): Promise<ServerRow | undefined> {
  return await q.tables<ComputeTables>().selectFrom("servers").selectAll().where("id", "=", id).executeTakeFirst();
}
