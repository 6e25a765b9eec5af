import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import { isRefusal, type Qmp } from "../../../process/qmp.ts";
import { parseDiskUri, socketAddress } from "./disk-uri.ts";

const JOB = "migration-root";
const TARGET = "migration-target";

export interface MirrorState {
  status: string;
  /** Bytes copied and bytes to copy in all. */
  done: number;
  total: number;
  error: string | null;
}

interface Job {
  /** The job's id. */
  device: string;
  status: string;
  offset: number;
  len: number;
  "io-status": string;
  error?: string;
}

/**
 * Copies the guest's layer to the destination and keeps the copy equal while the guest writes. The job stays on record after
 * its end, so that an agent that comes back can tell success from failure. One that cannot read or write waits to be dropped:
 * by itself it would end in the midst of the guest's writes, which QEMU does not survive (docs/decisions/0015).
 */
export async function ensureMirror(qmp: Qmp, uri: string): Promise<void> {
  if (await mirrorState(qmp)) return;
  const { address, exportName } = parseDiskUri(uri);
  await dropTarget(qmp);
  const server = socketAddress(address);
  await qmp.execute("blockdev-add", { driver: "nbd", "node-name": TARGET, server, export: exportName });
  await qmp.execute("blockdev-mirror", {
    "job-id": JOB,
    device: "root",
    target: TARGET,
    sync: "top",
    "copy-mode": "write-blocking",
    "on-source-error": "stop",
    "on-target-error": "stop",
    "auto-dismiss": false,
  });
}

export async function mirrorState(qmp: Qmp): Promise<MirrorState | null> {
  const job = (await qmp.execute<Job[]>("query-block-jobs")).find(({ device }) => device === JOB);
  if (!job) return null;
  const { status, offset: done, len: total, "io-status": io } = job;
  return { status, done, total, error: job.error ?? (io === "ok" ? null : `a disk does not obey (${io})`) };
}

/** With the guest stopped at the switch-over: ends the job with both disks equal. Throws `compute.migration_failed`. */
export async function completeMirror(qmp: Qmp, signal: AbortSignal): Promise<void> {
  for (;;) {
    const state = await mirrorState(qmp);
    if (!state || state.error !== null) throw mirrorFailed(state?.error ?? "the job has gone");
    if (state.status === "concluded") return;
    // Cancelling a job that is ready, without force, is QEMU's word for a consistent end without switching disks.
    if (state.status === "ready") await qmp.execute("block-job-cancel", { device: JOB });
    signal.throwIfAborted();
    await qmp.changed(50);
  }
}

/**
 * Takes the job and its connection away, whatever state they are in, and whether or not the destination answers. A guest that
 * ran is paused afterwards: none of its writes may be under way when the job ends.
 */
export async function dropMirror(qmp: Qmp): Promise<void> {
  for (let state = await mirrorState(qmp); state; state = await mirrorState(qmp)) {
    if (state.status === "concluded") await qmp.execute("job-dismiss", { id: JOB });
    else {
      // A write that waits for a destination that is silent would be waited for.
      const connection = { type: "block-node", "node-name": TARGET };
      await qmp.execute("yank", { instances: [connection] }).catch(ignoreRefusal);
      await qmp.execute("stop");
      await qmp.execute("block-job-cancel", { device: JOB, force: true }).catch(ignoreRefusal);
      await qmp.changed(50);
    }
  }
  await dropTarget(qmp);
}

export function mirrorFailed(why: string): CloudError {
  return new CloudError("conflict", "compute.migration_failed", "The live migration failed.", {
    internal: `disk mirror: ${why}`,
  });
}

async function dropTarget(qmp: Qmp): Promise<void> {
  await qmp.execute("blockdev-del", { "node-name": TARGET }).catch(ignoreRefusal);
}

function ignoreRefusal(error: unknown): void {
  if (!isRefusal(error)) throw error;
}
