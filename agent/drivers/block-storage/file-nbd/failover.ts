import { CloudError, publicFault } from "../../../../kernel/errors/cloud-error.ts";
import type { FailoverOutcome } from "../../../protocol/block-storage.ts";
import type { Call } from "../../../runtime/call.ts";
import type { FailoverResult } from "../driver.ts";
import type { Copy, StorageArray, VolumeCopies } from "./array.ts";
import { attachReplica, detachReplica, isTrusted, makeEqual, settleReplica } from "./replica.ts";
import { ensureServing, stopServing } from "./serving.ts";
import type { Site } from "./site.ts";
import { copySnapshot } from "./snapshots.ts";

/** Under the backend's lock. Every step finds what an earlier try has done and goes on from there. */
export async function failover(array: StorageArray, targetId: string | null, call: Call): Promise<FailoverResult> {
  const { active, failingBack } = await array.backend();
  if (targetId === "default") return failback(array, call);
  const target = targetId === null ? array.targets[0] : array.targets.find(({ id }) => id === targetId);
  if (!target || (active !== null && active !== target.id)) {
    throw new CloudError("invalid", "storage.target_unknown", "The backend has no such replication target.");
  }
  // Once it serves, a repeat waits for it.
  await (active === null ? requireDestination(target) : target.requireReachable());
  // What the mirrors of daemons that still live say goes on record before it can no longer be asked.
  if (active === null) await forEach(array, target, call, (volume) => settleLiving(array, volume));
  if (active === null || failingBack) {
    // Only now: who has been killed writes no more, so nothing can be acknowledged that the target lacks.
    await array.killAllDaemons(array.own);
    await array.changeBackend({ active: target.id, failingBack: false }, target);
  }
  const volumes = await forEach(array, target, call, (volume) => promote(array, volume, target));
  return { activeBackendId: target.id, volumes };
}

async function promote(array: StorageArray, volume: VolumeCopies, target: Site): Promise<void> {
  const { main, replica } = volume;
  if (main.site !== target) {
    if (!replica) throw stale("The volume has no second copy.");
    // Whoever held the volume's lock may have begun to serve it after all others were killed. Nobody begins any more.
    if (await array.daemonOf(main)) await array.killDaemons(main.site, main.record.volumeId);
    if (!(await isTrusted(array, replica)) || replica.record.state !== "ready") {
      await array.killDaemons(replica.site, replica.record.volumeId);
      await array.pointNowhere(main.site, main.record.volumeId);
      throw stale("The second copy of the volume is not up to date.");
    }
    await swapRoles(array, { main, replica }, { kind: "stale" });
    // It took the mirror's writes and must not take more of them.
    await array.endDaemon(replica);
    Object.assign(volume, { main: replica, replica: main });
  }
  if (volume.main.record.exported) await ensureServing(array, volume);
}

/** Asked before anything is changed: a refusal, so that nobody waits for an array that may have gone for good. */
async function requireDestination(site: Site): Promise<void> {
  await site.requireReachable().catch((cause: Error) => {
    throw new CloudError("conflict", "storage.target_unreachable", "The array to serve from cannot be reached.", {
      internal: `${site.id}: ${cause.message}`,
      cause,
    });
  });
}

/** Home again, each volume when its copy there is equal; those that cannot go on being served where they are. */
async function failback(array: StorageArray, call: Call): Promise<FailoverResult> {
  const { active } = await array.backend();
  await requireDestination(array.own);
  const target = array.targets.find(({ id }) => id === active);
  if (target) await array.changeBackend({ failingBack: true }, target);
  const from = target ? [target] : array.targets;
  const volumes: FailoverOutcome[] = [];
  for (const site of from) {
    volumes.push(...(await forEach(array, site, call, (volume) => returnHome(array, volume, call))));
    await returnSnapshots(array, site, call.signal);
  }
  if (target) await removeForgotten(array, target, call);
  if (target) await array.changeBackend({ active: null, failingBack: false }, target);
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
    if (replica.record.trust.kind !== "clean") throw stale("The first copy of the volume could not be made equal.");
    await swapRoles(array, pair, { kind: "clean" });
    Object.assign(volume, { main: replica, replica: main });
  }
  if (exported) await ensureServing(array, volume);
  else await array.pointNowhere(main.site, volumeId);
}

/** The clients of a served volume wait only from its last write there to its first one here. */
async function switchHome(array: StorageArray, volume: VolumeCopies, call: Call): Promise<void> {
  const talk = await array.ensureDaemon(volume.main);
  try {
    if (!(await talk.exports()) || !(await talk.mirror())) {
      await talk.ensureNoExport();
      await attachReplica(array, volume, talk);
      await talk.ensureExport(volume.main.record.volumeId);
      await array.pointAt(volume.main);
    }
    await talk.mirrorReady(call.signal, ({ done, total }) => {
      call.progress(total === 0 ? 0 : (100 * done) / total, { volumeId: volume.main.record.volumeId, done, total });
    });
    await talk.ensureNoExport();
    const equal = await detachReplica(array, volume, talk);
    if (!equal) await talk.ensureExport(volume.main.record.volumeId);
    else await talk.quit();
  } finally {
    talk.close();
  }
  if (volume.replica?.record.trust.kind === "clean") await array.endDaemon(volume.main);
}

/** The second copy becomes the one that counts, by its own record alone: the other array may be gone. */
async function swapRoles(
  array: StorageArray,
  { main, replica }: { main: Copy; replica: Copy },
  trust: { kind: "clean" } | { kind: "stale" },
): Promise<void> {
  const generation = Math.max(main.record.generation, replica.record.generation) + 1;
  await array.update(replica, { role: "main", generation, trust: { kind: "stale" } });
  const demoted = array.update(main, { role: "replica", generation, trust });
  await demoted.catch((error: Error) => {
    array.options.log.warn({ site: main.site.id, error: error.message }, "an array cannot be told of a change");
  });
}

async function newCopy(array: StorageArray, main: Copy): Promise<Copy> {
  const record = { ...main.record, role: "replica" as const, trust: { kind: "stale" as const }, daemon: null };
  await array.own.writeCopy(record);
  return { site: array.own, record };
}

async function settleLiving(array: StorageArray, volume: VolumeCopies): Promise<void> {
  const talk = await array.talk(volume.main).catch(() => undefined);
  try {
    if (talk && (await talk.exports())) await settleReplica(array, volume, talk);
  } catch (error) {
    array.options.log.info({ volume: volume.main.record.volumeId, error: String(error) }, "a daemon does not answer");
  } finally {
    talk?.close();
  }
}

async function returnSnapshots(array: StorageArray, from: Site, signal: AbortSignal): Promise<void> {
  for (const record of await from.snapshots()) {
    const here = await array.own.snapshot(record.snapshotId);
    if (record.state !== "ready" || here?.state === "ready") continue;
    await copySnapshot(array, record, from, array.own, signal);
  }
}

/** What was removed while the backend's own array was away. Every second copy is on record before its first one. */
async function removeForgotten(array: StorageArray, target: Site, call: Call): Promise<void> {
  for (const { volumeId, replicated } of await array.own.copies()) {
    if (!replicated || (await target.copy(volumeId))) continue;
    await array.locks.holding([volumeId], call.signal, async () => {
      await array.killDaemons(array.own, volumeId);
      await array.own.removeVolume(volumeId);
    });
  }
  for (const { snapshotId, replicated } of await array.own.snapshots()) {
    if (replicated && !(await target.snapshot(snapshotId))) await array.own.removeSnapshot(snapshotId);
  }
}

/** Each replicated volume of the target in turn, under its lock; one that fails does not stop the others. */
async function forEach(
  array: StorageArray,
  target: Site,
  call: Call,
  work: (volume: VolumeCopies) => Promise<void>,
): Promise<FailoverOutcome[]> {
  const outcomes: FailoverOutcome[] = [];
  for (const { volumeId, state } of await target.copies()) {
    if (state !== "ready") continue;
    call.signal.throwIfAborted();
    const outcome = await array.locks.holding(
      [volumeId],
      call.signal,
      async (): Promise<FailoverOutcome | undefined> => {
        const volume = await array.find(volumeId).then((found) => found ?? orphan(array, target, volumeId));
        if (!volume) return undefined;
        try {
          await work(volume);
          const { exported } = volume.main.record;
          return { volumeId, ok: true, fault: null, connection: exported ? array.address(volumeId) : null };
        } catch (error) {
          call.signal.throwIfAborted();
          array.options.log.warn({ volume: volumeId, error: String(error) }, "a volume did not come along");
          const { code, message } = publicFault(error);
          return { volumeId, ok: false, fault: { code, message }, connection: null };
        }
      },
    );
    if (outcome) outcomes.push(outcome);
  }
  return outcomes;
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
