import { readFile } from "node:fs/promises";
import type { GuestSpec, IncomingTarget, MigrationMode } from "../../../protocol/compute.ts";
import { writeAtomically } from "./guest-files.ts";

/** A migration away from this host, from the first command to its outcome. */
export interface OutgoingMigration {
  /** The command that started it: a repeat joins it or gets its outcome. */
  key: string;
  target: IncomingTarget;
  mode: MigrationMode;
  postCopy: boolean;
  /** Whether the guest was paused before, and must be again if it stays. */
  paused: boolean;
  /** QEMU was told to migrate; its migration status speaks of this migration. */
  issued: boolean;
  abort: boolean;
  force: boolean;
  outcome: "running" | "completed" | "failed" | "aborted";
  downtimeMs: number | null;
}

/** What this host knows about one guest; survives the agent. */
export interface GuestRecord {
  spec: GuestSpec;
  /** What the guest was last brought to. A process that is gone although it should be there has crashed. */
  intent: "running" | "paused" | "stopped";
  /** Size of the process that runs: the spec may have changed since. */
  started: { vcpus: number; ramMiB: number } | null;
  /** The last reboot, and the process that it is to replace. */
  reboot: { key: string; pid: number | null } | null;
  /** Set from the preparation of a migration to this host until it is finished. */
  incoming: { mode: MigrationMode; target: IncomingTarget | null; received: boolean } | null;
  outgoing: OutgoingMigration | null;
  /** The guest lives elsewhere now. */
  moved: boolean;
  /** Where the stopped guest's disk is served for a copy. */
  diskUri: string | null;
}

export function newRecord(spec: GuestSpec): GuestRecord {
  const nothing = { started: null, reboot: null, incoming: null, outgoing: null, moved: false, diskUri: null };
  return { spec, intent: "stopped", ...nothing };
}

export async function readRecord(path: string): Promise<GuestRecord | undefined> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  const record = JSON.parse(text) as GuestRecord;
  // Written before guests had volumes.
  return { ...record, spec: { ...record.spec, volumes: record.spec.volumes ?? [] } };
}

export async function writeRecord(path: string, record: GuestRecord): Promise<void> {
  await writeAtomically(path, JSON.stringify(record));
}
