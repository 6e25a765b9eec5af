import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import { isRefusal, type Qmp } from "../../../process/qmp.ts";
import type { MigrationProgress } from "../../../protocol/compute.ts";
import type { Call } from "../../../runtime/call.ts";
import type { MigrateOutOptions } from "../driver.ts";
import { completeMirror, dropMirror, ensureMirror, mirrorFailed, mirrorState } from "./disk-mirror.ts";
import type { Guest } from "./guest.ts";
import type { OutgoingMigration } from "./guest-record.ts";
import type { Host } from "./host.ts";
import {
  isTarget,
  type MigrationState,
  migrationState,
  parseMemoryUri,
  setCapabilities,
} from "./migration-settings.ts";

const POLL_MS = 100;
const ABORT_LIMIT_MS = 15_000;
const MIB = 1024 * 1024;
/** QEMU wants a number; no wire is this fast. */
const UNLIMITED = 2 ** 40;
/** QEMU's own limit is 2000 s. */
const LONGEST_DOWNTIME_MS = 2_000_000;
/** States in which QEMU still works on the migration and may be told to give up. */
const CANCELLABLE = new Set(["setup", "active", "device", "pre-switchover", "wait-unplug"]);

/**
 * Sends the guest to the destination that waits for it. The record says how far it got, so a repeat after a restart of the
 * agent joins the same migration. When it fails, the guest goes on here as it was.
 */
export async function migrateOut(
  guest: Guest,
  options: MigrateOutOptions,
  call: Call,
): Promise<{ downtimeMs: number | null }> {
  return guest.exclusive(async () => {
    await begin(guest, options, call);
    const { outcome, downtimeMs } = outgoing(guest);
    if (outcome === "completed") return { downtimeMs };
    if (outcome !== "running") throw ended(outcome);
    try {
      const qmp = await guest.qmp();
      if (!outgoing(guest).issued) await issue(guest, qmp, options, call);
      return { downtimeMs: await follow(guest, qmp, call) };
    } catch (error) {
      const outcome = outcomeOf(error);
      // Given up by this agent, not by QEMU: the migration goes on and the next call joins it.
      if (outcome === null) throw error;
      await settle(guest, outcome);
      throw outcome === "aborted" ? ended(outcome) : failed(internalText(error));
    }
  });
}

export async function abortMigration(host: Host, guest: Guest): Promise<void> {
  const migration = guest.record.outgoing;
  if (migration?.outcome !== "running" || !(await guest.isAlive())) return;
  await change(guest, { abort: true });
  const qmp = await guest.qmp();
  const { status = "none" } = await migrationState(qmp);
  if (status.startsWith("postcopy")) {
    throw new CloudError("conflict", "compute.migration_not_abortable", "The guest runs at the destination already.");
  }
  if (CANCELLABLE.has(status)) await qmp.execute("migrate_cancel");
  await guest.poke();
  const { clock } = host.options;
  const until = clock.now() + ABORT_LIMIT_MS;
  while (CANCELLABLE.has((await migrationState(qmp)).status ?? "none") && clock.now() < until)
    await qmp.changed(POLL_MS);
  // The call that follows the migration settles it; where an agent was restarted there may be none.
  await guest.exclusive(() => settleUnattended(guest));
}

/** Makes a running migration end now. Throws `compute.migration_not_running`. */
export async function forceCompleteMigration(guest: Guest): Promise<void> {
  const migration = guest.record.outgoing;
  if (migration?.outcome === "completed") return;
  if (migration?.outcome !== "running") {
    throw new CloudError("conflict", "compute.migration_not_running", "The guest is not being migrated.");
  }
  await change(guest, { force: true });
  const qmp = await guest.qmp();
  if (migration.issued && (await migrationState(qmp)).status === "active") await converge(guest, qmp);
  await guest.poke();
}

/**
 * While nobody follows the guest's migration, because who started it has been replaced or is to stop: one under way is
 * ended here, one that has completed is noted as such.
 */
export async function settleUnattended(guest: Guest): Promise<void> {
  if (guest.record.outgoing?.outcome !== "running") return;
  const status = await guest.status();
  if (status === "postmigrate") await completed(guest, (await migrationState(await guest.qmp())).downtime ?? null);
  else await settle(guest, status === null ? "failed" : "aborted");
}

async function begin(guest: Guest, options: MigrateOutOptions, call: Call): Promise<void> {
  if (guest.record.outgoing?.key === call.key) return;
  await settleUnattended(guest);
  if (guest.record.moved) throw new CloudError("conflict", "compute.guest_moved", "The guest lives on another host.");
  const status = await guest.status();
  if (status !== "running" && status !== "paused") {
    throw new CloudError("conflict", "compute.guest_not_running", "The guest is not running.");
  }
  const { target, mode, postCopy } = options;
  if (!isTarget(target.memoryUri)) throw new CloudError("invalid", "compute.invalid_uri", "Not a migration target.");
  const fresh = { issued: false, abort: false, force: false, outcome: "running", downtimeMs: null } as const;
  await guest.update({ outgoing: { key: call.key, target, mode, postCopy, paused: status === "paused", ...fresh } });
}

/** Brings the destination's disk up to date, then tells QEMU to migrate. */
async function issue(guest: Guest, qmp: Qmp, options: MigrateOutOptions, call: Call): Promise<void> {
  const { target, mode } = outgoing(guest);
  const memory = parseMemoryUri(target.memoryUri);
  if (mode === "mirror") {
    if (target.diskUri === null) throw mirrorFailed("the target serves no disk");
    await ensureMirror(qmp, target.diskUri);
    await untilMirrorReady(guest, qmp, call);
  }
  await setCapabilities(qmp, [
    ...["events", "return-path"],
    ...(mode === "mirror" ? ["pause-before-switchover"] : []),
    ...(options.postCopy && memory.postCopy ? ["postcopy-ram"] : []),
    ...(options.autoConverge ? ["auto-converge"] : []),
  ]);
  const bandwidth = options.bandwidthMiBps > 0 ? options.bandwidthMiBps * MIB : UNLIMITED;
  await qmp.execute("migrate-set-parameters", {
    "max-bandwidth": bandwidth,
    "max-postcopy-bandwidth": 0,
    "downtime-limit": Math.min(options.downtimeMs, LONGEST_DOWNTIME_MS),
  });
  await change(guest, { issued: true });
  await qmp.execute("migrate", { uri: memory.uri }).catch((error: unknown) => {
    if (isRefusal(error)) throw failed(error.internal ?? "");
    throw error;
  });
}

async function untilMirrorReady(guest: Guest, qmp: Qmp, call: Call): Promise<void> {
  for (;;) {
    if (outgoing(guest).abort) throw ended("aborted");
    const state = await mirrorState(qmp);
    if (!state || state.error !== null || state.status === "concluded") throw mirrorFailed(state?.error ?? "no job");
    if (state.status === "ready") return;
    await report(qmp, {}, call);
    call.signal.throwIfAborted();
    await qmp.changed(POLL_MS);
  }
}

/** Watches the migration to its end and does what it needs on the way. Returns the guest's downtime. */
async function follow(guest: Guest, qmp: Qmp, call: Call): Promise<number | null> {
  let converging = false;
  for (;;) {
    const state = await migrationState(qmp);
    const { status = "none" } = state;
    const { abort, force, mode } = outgoing(guest);
    if (status === "completed" && (await isGone(guest, qmp))) {
      return completed(guest, state.downtime ?? null);
    }
    if (status === "failed") throw failed(state["error-desc"] ?? "");
    if (status === "cancelled" || status === "none") throw ended("aborted");
    if (status === "postcopy-paused") throw failed("the connection broke while the guest ran at the destination");
    await report(qmp, state, call);
    if (abort && CANCELLABLE.has(status)) await qmp.execute("migrate_cancel");
    else if (status === "pre-switchover") await switchOver(qmp, mode, call);
    else if (force && !converging && status === "active") {
      converging = true;
      await converge(guest, qmp);
    }
    call.signal.throwIfAborted();
    await qmp.changed(POLL_MS);
  }
}

async function completed(guest: Guest, downtimeMs: number | null): Promise<number | null> {
  await guest.update({ moved: true, outgoing: { ...outgoing(guest), outcome: "completed", downtimeMs } });
  return downtimeMs;
}

/** A process that took the guest in earlier also says "completed"; only the state after sending is proof. */
async function isGone(guest: Guest, qmp: Qmp): Promise<boolean> {
  for (let look = 0; look < 20; look += 1) {
    if ((await guest.status()) === "postmigrate") return true;
    await qmp.changed(POLL_MS);
  }
  throw failed("the hypervisor never began it");
}

/** The guest stands still: the disk is made equal, then the guest may start over there. */
async function switchOver(qmp: Qmp, mode: string, call: Call): Promise<void> {
  if (mode === "mirror") await completeMirror(qmp, call.signal);
  await qmp.execute("migrate-continue", { state: "pre-switchover" }).catch((error: unknown) => {
    // It has left this state in the meantime, by an abort.
    if (!isRefusal(error)) throw error;
  });
}

/** Post-copy where both ends can; otherwise the guest waits, so that it dirties no more memory. */
async function converge(guest: Guest, qmp: Qmp): Promise<void> {
  const { target, postCopy } = outgoing(guest);
  if (postCopy && parseMemoryUri(target.memoryUri).postCopy) {
    await qmp.execute("migrate-start-postcopy");
    return;
  }
  await qmp.execute("stop");
  await qmp.execute("migrate-set-parameters", {
    "max-bandwidth": UNLIMITED,
    "downtime-limit": LONGEST_DOWNTIME_MS,
  });
}

/** Ends a migration that will not complete: no mirror left, and the guest runs here as before. */
async function settle(guest: Guest, outcome: "failed" | "aborted"): Promise<void> {
  if (await guest.isAlive()) {
    const qmp = await guest.qmp();
    const { status = "none" } = await migrationState(qmp);
    if (CANCELLABLE.has(status)) await qmp.execute("migrate_cancel");
    while (["cancelling", ...CANCELLABLE].includes((await migrationState(qmp)).status ?? "none"))
      await qmp.changed(POLL_MS);
    await dropMirror(qmp);
    if (!outgoing(guest).paused && (await guest.status()) === "paused") await qmp.execute("cont");
  }
  await change(guest, { outcome });
}

async function report(qmp: Qmp, state: MigrationState, call: Call): Promise<void> {
  const mirror = await mirrorState(qmp);
  const memory = state.ram ?? { total: 0, remaining: 0, transferred: 0 };
  const progress: MigrationProgress = {
    memoryTotal: memory.total,
    memoryProcessed: memory.transferred,
    memoryRemaining: memory.remaining,
    diskTotal: mirror?.total ?? 0,
    diskProcessed: mirror?.done ?? 0,
    diskRemaining: mirror ? mirror.total - mirror.done : 0,
  };
  const total = progress.memoryTotal + progress.diskTotal;
  const left = progress.memoryRemaining + progress.diskRemaining;
  call.progress(total === 0 ? 0 : Math.floor((100 * (total - left)) / total), progress);
}

function outgoing(guest: Guest): OutgoingMigration {
  const { outgoing: migration } = guest.record;
  if (migration) return migration;
  throw new CloudError("internal", "compute.no_migration", "An unexpected error occurred.");
}

async function change(guest: Guest, changes: Partial<OutgoingMigration>): Promise<void> {
  await guest.update({ outgoing: { ...outgoing(guest), ...changes } });
}

/** How a migration has ended by this error; null when it has not. */
function outcomeOf(error: unknown): "failed" | "aborted" | null {
  if (!(error instanceof CloudError)) return null;
  if (error.code === "compute.migration_aborted") return "aborted";
  const final = ["compute.migration_failed", "qemu.refused", "compute.guest_not_running"];
  return final.includes(error.code) ? "failed" : null;
}

function internalText(error: unknown): string {
  return error instanceof CloudError ? (error.internal ?? error.message) : "";
}

function failed(why: string): CloudError {
  return new CloudError("conflict", "compute.migration_failed", "The live migration failed.", { internal: why });
}

function ended(outcome: "failed" | "aborted"): CloudError {
  if (outcome === "failed") return failed("it failed before");
  return new CloudError("conflict", "compute.migration_aborted", "The live migration was aborted.");
}
