import { isDeepStrictEqual } from "node:util";
import { blockStorageVerbs } from "../../../agent/protocol/block-storage.ts";
import type { Connection } from "../../../agent/protocol/connection.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { liveOperations } from "../../../kernel/operations/control.ts";
import type { EffectContext, Operation, OperationInfo } from "../../../kernel/operations/definition.ts";
import type { Queries, Tx } from "../../../kernel/store/store.ts";
import { holdPool, type Pool } from "../scheduler/pools.ts";
import { attachmentsOf } from "../store/attachments.ts";
import type { VolumeRow } from "../store/tables.ts";
import { findVolume, lockVolume, transition, type VolumeChange } from "../store/volumes.ts";
import { REMOVE_LEFTOVER, type RemoveLeftoverInput } from "./remove-leftover.ts";
import { requiredTarget, scopeOf, targetOfPool, type VolumeTarget, type VolumeTools } from "./volume-calls.ts";

/**
 * What migrating and retyping have in common: a volume's data goes to another backend, under the same id. Until both copies are
 * equal the one at the source counts and a failure takes the other away; from then on the one at the destination counts,
 * and the source's is removed. At no time do both count.
 */

export const MIGRATE_VOLUME = "volume.migrate";
export const RETYPE_VOLUME = "volume.retype";

/** Operations that may be taking a volume elsewhere. Whoever takes the volume over lets them be undone: their copy must not stay. */
export const MOVES: readonly string[] = [MIGRATE_VOLUME, RETYPE_VOLUME];

/** A type alias, so that it survives the journal. */
type Place = { readonly [K in PlaceColumn]: VolumeRow[K] };
type PlaceColumn = "host" | "cluster_name" | "zone" | "service_uuid" | "replication_status";

/** Both ends of a move. */
export type Move = {
  readonly from: { readonly scope: string; readonly target: VolumeTarget };
  /** What the volume's row said of its place before. */
  readonly before: Place;
  readonly to: {
    readonly scope: string;
    readonly target: VolumeTarget;
    /** Of its pool. */
    readonly name: string;
    readonly host: string;
    readonly cluster: string | null;
    readonly zone: string;
    readonly serviceId: string;
  };
  /** Mirrored to the destination's replication target. */
  readonly replicated: boolean;
  /** A guest has it as a disk, which pauses while the source hands over to the destination. */
  readonly served: boolean;
};

export function moveTo(volume: VolumeRow, pool: Pool, replicated: boolean): Move {
  const { scope, name, host, cluster, zone, serviceId } = pool;
  const { host: old, cluster_name, zone: oldZone, service_uuid, replication_status } = volume;
  const before = { host: old, cluster_name, zone: oldZone, service_uuid, replication_status };
  const from = { scope: scopeOf(volume) ?? "", target: requiredTarget(volume) };
  // What it was when the request came.
  const served = volume.previous_status === "in-use";
  const to = { scope, target: targetOfPool(pool), name, host, cluster, zone, serviceId };
  return { from, before, to, replicated, served };
}

/** Backends that may still hold something of the volume, which is being taken away: it cannot go there yet. */
export async function leftoverScopes(q: Queries, volumeId: string): Promise<string[]> {
  const live = (await liveOperations(q, volumeId)).filter(({ name }) => name === REMOVE_LEFTOVER);
  return live.map(({ input }) => (JSON.parse(input) as RemoveLeftoverInput).scope);
}

/**
 * Holds the room at the destination; what is there is taken away by `cleanUpAt`. Throws `block-storage.other_address` when a guest that
 * has the volume would not find it there.
 */
export async function receive(a: EffectContext, volume: VolumeRow, move: Move): Promise<{ target: Connection }> {
  const { backend, to } = move.to.target;
  const wanted = { backend, volumeId: volume.id, sizeGiB: volume.size_gib, replicated: move.replicated };
  const { target, address } = await a.call(blockStorageVerbs, "volume.receive", wanted, { to });
  for (const { connection_info: known } of await attachmentsOf(a.read, volume.id))
    if (known !== null && !isDeepStrictEqual(JSON.parse(known), address)) throw otherAddress();
  return { target };
}

/** Ends when both are equal; every write goes to both from then on. */
export async function copyOut(
  a: EffectContext,
  deps: VolumeTools,
  { volumeId, move, target }: { volumeId: string; move: Move; target: Connection },
): Promise<{ bytes: number }> {
  const { backend, to } = move.from.target;
  return await a.call(
    blockStorageVerbs,
    "volume.copyOut",
    { backend, volumeId, target },
    {
      to,
      timeoutMs: deps.settings.migrationTimeoutMs,
      onProgress: (percent, { done, total }) =>
        a.progress(percent, typeof done === "number" && typeof total === "number" ? { done, total } : {}),
    },
  );
}

/** The source serves again, as if nothing had been. */
export async function abandonCopy(a: EffectContext, volumeId: string, move: Move): Promise<void> {
  const { backend, to } = move.from.target;
  await a.call(blockStorageVerbs, "volume.abandonCopy", { backend, volumeId }, { to });
}

/**
 * Nobody is served at the source any more, and both copies are equal. They are compared byte by byte where no guest waits
 * meanwhile; where one does, what made them equal has acknowledged each of its writes only when both had it.
 */
export async function finishCopy(
  a: EffectContext,
  deps: VolumeTools,
  { volumeId, move, target }: { volumeId: string; move: Move; target: Connection },
): Promise<void> {
  await mustBeThere(a, volumeId, move);
  const { backend, to } = move.from.target;
  const { migrationTimeoutMs: timeoutMs } = deps.settings;
  const wanted = { backend, volumeId, target, compare: !move.served };
  await a.call(blockStorageVerbs, "volume.finishCopy", wanted, { to, timeoutMs });
}

/** A destination that has died meanwhile is noticed before a guest waits for it. */
async function mustBeThere(a: EffectContext, volumeId: string, { to: { target } }: Move): Promise<void> {
  const { backend, to } = target;
  const { volume } = await a.call(blockStorageVerbs, "volume.inspect", { backend, volumeId }, { to });
  if (volume) return;
  throw new CloudError("conflict", "block-storage.destination_lost", "The destination has lost the volume.");
}

/** The destination's copy becomes a volume like others; a guest that waits for it goes on. */
export async function settleAtDestination(a: EffectContext, volumeId: string, move: Move): Promise<void> {
  const { backend, to } = move.to.target;
  const verb = move.served ? "volume.ensureExported" : "volume.ensureNotExported";
  await a.call(blockStorageVerbs, verb, { backend, volumeId }, { to });
}

/**
 * What the row says from here on: the volume is where it was to go. Throws `block-storage.no_backend` when the destination has been
 * disabled, frozen, failed over or lost meanwhile; holds it until the transaction ends.
 */
export async function atDestination(
  t: Tx,
  deps: VolumeTools,
  { to, replicated }: Move,
): Promise<NonNullable<VolumeChange["set"]>> {
  if (!(await holdPool(t, deps, to))) throw noBackend();
  return {
    host: to.host,
    cluster_name: to.cluster,
    zone: to.zone,
    service_uuid: to.serviceId,
    replication_status: replicated ? "enabled" : "disabled",
  };
}

/** Lets what is left at one end of a move be taken away, as soon as its backend is there. */
export async function cleanUpAt(
  t: Tx,
  { kernel }: Pick<VolumeTools, "kernel">,
  removeLeftover: Operation<RemoveLeftoverInput>,
  about: { volumeId: string; end: Move["from"]; operation: OperationInfo },
): Promise<void> {
  const { volumeId, end, operation } = about;
  const { scope, target } = end;
  await kernel.operations.start(t, removeLeftover, {
    input: { volumeId, scope, target },
    resourceId: volumeId,
    projectId: operation.projectId,
    requestId: operation.requestId,
  });
}

/** The volume is what it was before the request but for what `set` says; undefined when it is gone, or somebody took it over. */
export async function endMove(
  t: Tx,
  { kernel }: Pick<VolumeTools, "kernel">,
  volumeId: string,
  set: NonNullable<VolumeChange["set"]>,
): Promise<VolumeRow | undefined> {
  await lockVolume(t, volumeId);
  const volume = await findVolume(t, volumeId);
  if (!volume) return undefined;
  const held = volume.status === "maintenance" || volume.status === "retyping";
  const to = { set, ...(held ? { status: volume.previous_status ?? ("available" as const) } : {}) };
  return await transition(t, { clock: kernel.clock, id: volumeId, from: null, to, action: "migrate" });
}

function otherAddress(): CloudError {
  return new CloudError(
    "conflict",
    "block-storage.other_address",
    "The server would not find its volume at that backend.",
  );
}

export function noBackend(): CloudError {
  return new CloudError("noCapacity", "block-storage.no_backend", "No valid backend was found.");
}
