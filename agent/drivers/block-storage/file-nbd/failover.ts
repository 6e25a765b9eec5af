import { sleep } from "../../../../kernel/clock/clock.ts";
import { CloudError, publicFault } from "../../../../kernel/errors/cloud-error.ts";
import type { FailoverOutcome } from "../../../protocol/block-storage.ts";
import type { Call } from "../../../runtime/call.ts";
import type { FailoverResult } from "../driver.ts";
import type { Copy, StorageArray, VolumeCopies } from "./array.ts";
import type { CopyRecord } from "./records.ts";
import { detachReplica, isClean, isTrusted, makeEqual, type Pair, settleServed } from "./replica.ts";
import { ensureServing, equalIfPossible, serveBy, stopServing } from "./serving.ts";
import type { Site } from "./site.ts";
import { copySnapshot, removeSnapshot } from "./snapshots.ts";
import { removeVolume } from "./volumes.ts";

const ROUNDS = 4;
const AGAIN_MS = 500;

/** Under the backend's lock. Every step finds what an earlier try has done and goes on from there. */
export async function failover(array: StorageArray, targetId: string | null, call: Call): Promise<FailoverResult> {
  await array.catchUp();
  const { active, failingBack } = await array.backend();
  if (targetId === "default") return failback(array, call);
  const target = targetId === null ? array.targets[0] : array.targets.find(({ id }) => id === targetId);
  if (!target || (active !== null && active !== target.id)) {
    throw new CloudError("invalid", "storage.target_unknown", "The backend has no such replication target.");
  }
  // Once it serves, a repeat waits for it.
  await (active === null ? requireDestination(target) : target.requireReachable());
  if (active === null || failingBack) {
    // What the mirrors of daemons that still live say goes on record before it can no longer be asked.
    await forEach(array, target, call, (volume) => settleLiving(array, volume));
    // Only now: who has been killed writes no more, so nothing can be acknowledged that the target lacks.
    await array.killAllDaemons(array.own);
    await array.changeBackend({ active: target.id, failingBack: false }, target);
  }
  const volumes = await forEach(array, target, call, (volume) => promote(array, volume, target));
  // Volumes of an array that has gone meanwhile were not seen.
  await target.requireReachable();
  return { activeBackendId: target.id, volumes };
}

async function promote(array: StorageArray, volume: VolumeCopies, target: Site): Promise<void> {
  const { main, replica } = volume;
  if (main.site !== target) {
    if (!replica) throw stale("The volume has no second copy.");
    // Whoever held the volume's lock may have begun to serve it after all others were killed. Nobody begins any more.
    if (await array.daemonOf(main)) await array.killDaemons(main.site, main.record.volumeId);
    if (!(await isTrusted(array, { main, replica })) || replica.record.state !== "ready") {
      await array.killDaemons(replica.site, replica.record.volumeId);
      await array.pointNowhere(main.site, main.record.volumeId);
      throw stale("The second copy of the volume is not up to date.");
    }
    await swapRoles(array, { main, replica }, { kind: "stale" });
    // It took the mirror's writes and must not take more of them.
    await array.endDaemon(replica);
    Object.assign(volume, { main: replica, replica: main });
  } else if (replica?.record.role === "main") {
    await demote(array, replica, { generation: main.record.generation, trust: { kind: "stale" } });
  }
  if (volume.main.record.exported) await ensureServing(array, volume);
}

/**
 * Asked before anything is changed: a refusal, so that nobody waits for an array that may have gone for good. Of a failback also
 * of the array that serves now: it alone has what was written there.
 */
async function requireDestination(site: Site): Promise<void> {
  await site.requireReachable().catch((cause: Error) => {
    throw new CloudError(
      "conflict",
      "storage.target_unreachable",
      "An array that the volumes go to or come from cannot be reached.",
      {
        internal: `${site.id}: ${cause.message}`,
        cause,
      },
    );
  });
}

/** Home again, each volume when its copy there is equal; those that cannot go on being served where they are. */
async function failback(array: StorageArray, call: Call): Promise<FailoverResult> {
  const { active } = await array.backend();
  await requireDestination(array.own);
  const target = array.targets.find(({ id }) => id === active);
  if (target) await requireDestination(target);
  if (target) await array.changeBackend({ failingBack: true }, target);
  const from = target ? [target] : array.targets;
  const volumes: FailoverOutcome[] = [];
  for (const site of from) {
    volumes.push(...(await forEach(array, site, call, (volume) => returnHome(array, volume, call))));
    await returnSnapshots(array, site, call.signal);
  }
  if (target) {
    await removeRemembered(array, target, call);
    for (const site of [array.own, target]) await site.requireReachable();
    await array.changeBackend({ active: null, failingBack: false }, target);
  }
  return { activeBackendId: null, volumes };
}

async function returnHome(array: StorageArray, volume: VolumeCopies, call: Call): Promise<void> {
  const { main } = volume;
  const { volumeId, exported } = main.record;
  if (main.site !== array.own) {
    const replica = volume.replica ?? (await newCopy(array, main));
    const pair = { main, replica };
    if (exported) await switchHome(array, pair, call);
    else {
      await stopServing(array, pair);
      await makeEqual(array, pair, call.signal);
    }
    if (!isClean(pair)) throw stale("The first copy of the volume could not be made equal.");
    await swapRoles(array, pair, { kind: "clean" });
    Object.assign(volume, { main: replica, replica: main });
  }
  if (exported) await ensureServing(array, volume);
  else {
    await array.pointNowhere(main.site, volumeId);
    // Also after a try that was cut short between the two records of the change of roles.
    await equalIfPossible(array, volume, call.signal);
  }
}

/** The clients of a served volume wait only from its last write there to its first one here. */
async function switchHome(array: StorageArray, volume: Pair, call: Call): Promise<void> {
  const talk = await array.ensureDaemon(volume.main);
  try {
    await serveBy(array, volume, talk);
    await talk.mirrorReady(call.signal, ({ done, total }) => {
      call.progress(total === 0 ? 0 : (100 * done) / total, { volumeId: volume.main.record.volumeId, done, total });
    });
    await array.endExport(volume.main, talk);
    if (await detachReplica(array, volume, talk)) await talk.quit();
    else await serveBy(array, volume, talk);
  } finally {
    talk.close();
  }
  if (isClean(volume)) await array.endDaemon(volume.main);
}

/** The second copy becomes the one that counts, by its own record alone: the other array may be gone. */
async function swapRoles(
  array: StorageArray,
  { main, replica }: Pair,
  trust: { kind: "clean" } | { kind: "stale" },
): Promise<void> {
  const generation = Math.max(main.record.generation, replica.record.generation) + 1;
  const secondMayBeClean = trust.kind === "clean";
  await array.update(replica, { role: "main", generation, trust: { kind: "stale" }, secondMayBeClean });
  await demote(array, main, { generation, trust });
}

/** An array that has gone need not know: the higher generation counts. */
async function demote(
  array: StorageArray,
  copy: Copy,
  change: Pick<CopyRecord, "generation" | "trust">,
): Promise<void> {
  await array.update(copy, { role: "replica", ...change }).catch((error: Error) => {
    array.options.log.warn({ site: copy.site.id, error: error.message }, "an array cannot be told of a change");
  });
}

async function newCopy(array: StorageArray, main: Copy): Promise<Copy> {
  const record = { ...main.record, role: "replica" as const, trust: { kind: "stale" as const }, daemon: null };
  await array.own.writeCopy(record);
  return { site: array.own, record };
}

async function settleLiving(array: StorageArray, volume: VolumeCopies): Promise<void> {
  await settleServed(array, volume).catch((error: unknown) => {
    array.options.log.info({ volume: volume.main.record.volumeId, error: String(error) }, "a daemon does not answer");
  });
}

async function returnSnapshots(array: StorageArray, from: Site, signal: AbortSignal): Promise<void> {
  for (const record of await from.snapshots()) {
    const here = await array.own.snapshot(record.snapshotId);
    if (record.state !== "ready" || here?.state === "ready") continue;
    await copySnapshot(array, record, from, array.own, signal);
  }
}

/** What was removed while the backend's own array was away, and nothing else: what the target lacks may be the only copy. */
async function removeRemembered(array: StorageArray, target: Site, call: Call): Promise<void> {
  for (const what of await target.removedElsewhere()) {
    await array.locks.holding([what.id], call.signal, async () => {
      if (what.kind === "volume") await removeVolume(array, what.id);
      else await removeSnapshot(array, what.id);
      await target.forgetRemoved(what);
    });
  }
}

/**
 * Each replicated volume of the target in turn, under its lock; one that fails does not stop the others. Those in whose way is what may
 * pass by itself have more rounds: a volume that does not come along is in error until somebody cares for it.
 */
async function forEach(
  array: StorageArray,
  target: Site,
  call: Call,
  work: (volume: VolumeCopies) => Promise<void>,
): Promise<FailoverOutcome[]> {
  const outcomes = new Map<string, FailoverOutcome>();
  let open = (await target.copies()).filter(({ state }) => state === "ready").map(({ volumeId }) => volumeId);
  for (let round = 1; open.length > 0 && round <= ROUNDS; round += 1) {
    if (round > 1) await sleep(array.options.clock, AGAIN_MS, call.signal);
    const again: string[] = [];
    for (const volumeId of open) {
      call.signal.throwIfAborted();
      const done = await array.locks.holding([volumeId], call.signal, () => one(array, target, volumeId, call, work));
      if (done) outcomes.set(volumeId, done.outcome);
      if (done?.mayPass) again.push(volumeId);
    }
    open = again;
  }
  return [...outcomes.values()];
}

async function one(
  array: StorageArray,
  target: Site,
  volumeId: string,
  call: Call,
  work: (volume: VolumeCopies) => Promise<void>,
): Promise<{ outcome: FailoverOutcome; mayPass: boolean } | undefined> {
  const volume = await array.find(volumeId).then((found) => found ?? orphan(array, target, volumeId));
  if (!volume) return undefined;
  try {
    await work(volume);
    const connection = volume.main.record.exported ? array.address(volumeId) : null;
    return { outcome: { volumeId, ok: true, fault: null, connection }, mayPass: false };
  } catch (error) {
    call.signal.throwIfAborted();
    array.options.log.warn({ volume: volumeId, error: String(error) }, "a volume did not come along");
    const { kind, code, message } = publicFault(error);
    const outcome = { volumeId, ok: false, fault: { code, message }, connection: null };
    return { outcome, mayPass: kind === "unavailable" };
  }
}

/** A second copy whose first one cannot be seen: its array is gone. */
async function orphan(array: StorageArray, target: Site, volumeId: string): Promise<VolumeCopies | undefined> {
  const record = await target.copy(volumeId);
  if (!record) return undefined;
  return { main: { site: array.own, record }, replica: { site: target, record } };
}

function stale(text: string): CloudError {
  return new CloudError("conflict", "storage.replica_stale", text);
}
