import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import type { VolumeSpec } from "../../../protocol/block-storage.ts";
import type { Connection } from "../../../protocol/connection.ts";
import type { Call } from "../../../runtime/call.ts";
import type { Received } from "../driver.ts";
import type { Copy, StorageArray, VolumeCopies } from "./array.ts";
import { createWhole, exists, GIB, growTo, requireEqual, sizeOf } from "./disk-files.ts";
import { ensureServing, isServable } from "./serving.ts";
import { copyFailed } from "./storage-daemon.ts";
import { ensureRecorded, newRecord } from "./volumes.ts";

/** Destination: an empty volume that only the source knows how to reach, by the daemon's own socket. */
export async function receive(
  array: StorageArray,
  wanted: Pick<VolumeSpec, "volumeId" | "sizeGiB" | "replicated">,
  call: Call,
): Promise<Received> {
  const record = { ...newRecord(wanted), state: "receiving" as const };
  const { main } = await ensureRecorded(array, record, call.signal);
  if (main.record.state !== "receiving") throw inUse("The volume exists here already.");
  const disk = main.site.disk(wanted.volumeId);
  if (!(await exists(disk))) {
    await createWhole(disk, array.options.ids, (partial) => growTo(partial, wanted.sizeGiB * GIB));
  }
  const talk = await array.ensureDaemon(main);
  try {
    await talk.ensureExport(wanted.volumeId);
    return { target: talk.connection(wanted.volumeId), address: array.address(wanted.volumeId) };
  } finally {
    talk.close();
  }
}

/** Source: returns when both sides are equal and stay so. */
export async function copyOut(
  array: StorageArray,
  volume: VolumeCopies,
  target: Connection,
  call: Call,
): Promise<{ bytes: number }> {
  const { main } = volume;
  if (main.record.state !== "ready") throw inUse("The volume is not ready.");
  // A disk is mirrored to one place at a time.
  if (main.record.replicated) {
    throw new CloudError("invalid", "storage.not_supported", "A replicated volume cannot be migrated.");
  }
  const bytes = await sizeOf(main.site.disk(main.record.volumeId));
  if (isOf(volume, target) && main.record.copy?.finished) return { bytes };
  if (main.record.copy !== null && !isOf(volume, target)) await abandonCopy(array, volume);
  const { exported } = main.record;
  await array.update(main, { copy: { target, finished: false, wasExported: exported } });
  if (exported) await ensureServing(array, volume);
  const talk = await array.ensureDaemon(main);
  try {
    if (await talk.mirror()) {
      // Begun by a try before this one: it goes on, unless it has failed.
      await talk.mirrorReady(call.signal, progressOf(call)).catch(async (error: unknown) => {
        call.signal.throwIfAborted();
        array.options.log.info({ volume: main.record.volumeId, error: String(error) }, "a copy begins anew");
        await array.endMirror(main, talk);
      });
    }
    if (!(await talk.mirror())) await talk.startMirror(target, "all");
    await talk.mirrorReady(call.signal, progressOf(call));
    return { bytes };
  } catch (error) {
    talk.close();
    if (!call.signal.aborted) await abandonCopy(array, volume);
    throw error;
  } finally {
    talk.close();
  }
}

/** Source: nobody writes any more, and both sides are equal. */
export async function finishCopy(
  array: StorageArray,
  volume: VolumeCopies,
  { target, compare }: { target: Connection; compare: boolean },
  call: Call,
): Promise<void> {
  const { main } = volume;
  const copy = main.record.copy;
  if (!copy || !isOf(volume, target)) throw copyFailed("no copy to this target");
  if (copy.finished) return;
  try {
    await endEqual(array, main, { target, compare }, call);
    await array.update(main, { copy: { ...copy, finished: true } });
  } catch (error) {
    await abandonCopy(array, volume);
    throw error;
  }
  await array.endDaemon(main);
}

async function endEqual(
  array: StorageArray,
  main: Copy,
  { target, compare }: { target: Connection; compare: boolean },
  call: Call,
): Promise<void> {
  const talk = await array.talk(main);
  if (!talk) throw copyFailed("the daemon has died");
  try {
    // Not meant to be served from here on: a restart of the agent must not bring it back.
    await array.update(main, { exported: false });
    await array.endExport(main, talk);
    const equal = await talk.endMirror(main.record.volumeId);
    if (!equal) throw copyFailed("the copies were not equal at its end");
    if (compare) await requireEqual(main.site.disk(main.record.volumeId), nbdUri(target), call.signal);
  } finally {
    talk.close();
  }
}

/** As if the copy had never been. It is on record until clients are served as they were: a repeat goes on from there. */
export async function abandonCopy(array: StorageArray, volume: VolumeCopies): Promise<void> {
  const { main } = volume;
  const { copy } = main.record;
  if (!copy) return;
  const talk = await array.talk(main);
  try {
    if (talk) await array.endMirror(main, talk);
  } finally {
    talk?.close();
  }
  await array.update(main, { exported: copy.wasExported });
  if (copy.wasExported && (await isServable(array, main))) await ensureServing(array, volume);
  else await array.endDaemon(main);
  await array.update(main, { copy: null });
}

function progressOf(call: Call): (state: { done: number; total: number }) => void {
  return ({ done, total }) => call.progress(total === 0 ? 0 : (100 * done) / total, { done, total });
}

function isOf({ main }: VolumeCopies, target: Connection): boolean {
  const known = main.record.copy?.target;
  return known !== undefined && nbdUri(known) === nbdUri(target);
}

function nbdUri(target: Connection): string {
  const name = encodeURIComponent(target.export);
  if (target.kind === "inet") return `nbd://${target.host}:${target.port}/${name}`;
  return `nbd+unix:///${name}?socket=${target.path}`;
}

function inUse(text: string): CloudError {
  return new CloudError("conflict", "storage.volume_in_use", text);
}
