import { computeVerbs, type MigrationMode } from "../../../agent/protocol/compute.ts";
import type { InputOf } from "../../../agent/protocol/verb.ts";
import { type Clock, seconds, type Timer } from "../../../kernel/clock/clock.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { errorFields } from "../../../kernel/log/logger.ts";
import type { EffectContext, Json } from "../../../kernel/operations/definition.ts";
import type { ComputeSettings } from "../settings.ts";
import type { FlavorSnapshot } from "../store/tables.ts";

export interface MigrationRun {
  readonly serverId: string;
  readonly source: string;
  readonly destination: string;
  readonly command: InputOf<(typeof computeVerbs)["compute.migrateOut"]>;
  /** When it was begun, and how long it may take from there; 0 is without end. */
  readonly beganAt: number;
  readonly timeoutMs: number;
  readonly onTimeout: ComputeSettings["liveMigrationTimeoutAction"];
  readonly clock: Clock;
}

/** `unclear`: the source did not say that it is over there; the destination must be asked. */
export interface Transfer {
  readonly outcome: "completed" | "unclear";
  readonly aborted: boolean;
  readonly reason: string | null;
}

type Steering = "compute.abortMigration" | "compute.forceCompleteMigration";

/** Longer than any migration: its own completion timeout ends it first. */
const NO_LIMIT_MS = 24 * 3_600_000;
/** A wish may reach the source before the migration has begun there, so it is repeated until the migration is over. */
const REPEAT_MS = seconds(5);

/** Runs the transfer until the source says that it is over, or that it failed, or nothing at all. */
export async function runMigration(a: EffectContext, run: MigrationRun): Promise<Transfer> {
  const timers = new Set<Timer>();
  let over = false;
  let pressed = 0;
  const press = (verb: Steering) => {
    if (over) return;
    pressed += 1;
    const options = { to: { host: run.source }, extra: `${a.attempt}-${pressed}` };
    a.call(computeVerbs, verb, { serverId: run.serverId }, options).catch((error: unknown) => {
      if (!over) a.log.warn(errorFields(error), `${verb} failed`);
    });
    timers.add(run.clock.after(REPEAT_MS, () => press(verb)));
  };
  // Asked before anything moves: nothing has to.
  if (a.attempt === 0 && a.received("abort")) return { outcome: "unclear", aborted: true, reason: null };
  a.onSignal("abort", () => press("compute.abortMigration"));
  a.onSignal("force_complete", () => press("compute.forceCompleteMigration"));
  if (run.timeoutMs > 0) {
    const verb = run.onTimeout === "abort" ? "compute.abortMigration" : "compute.forceCompleteMigration";
    const leftMs = Math.max(0, run.beganAt + run.timeoutMs - run.clock.now());
    timers.add(run.clock.after(leftMs, () => press(verb)));
  }
  try {
    await a.call(computeVerbs, "compute.migrateOut", run.command, {
      to: { host: run.source },
      timeoutMs: NO_LIMIT_MS,
      onProgress: (percent, detail) => a.progress(percent, detail as Record<string, Json>),
    });
    return { outcome: "completed", aborted: false, reason: null };
  } catch (error) {
    if (!(error instanceof CloudError) || a.signal.aborted) throw error;
    const aborted = error.code === "compute.migration_aborted";
    return { outcome: "unclear", aborted, reason: aborted ? null : error.message };
  } finally {
    over = true;
    for (const timer of timers) timer.cancel();
  }
}

/** `live_migration_completion_timeout` counts per GiB of memory and of disk to copy, two at least. */
export function completionTimeoutMs(settings: ComputeSettings, flavor: FlavorSnapshot, mode: MigrationMode): number {
  const gib = flavor.ramMiB / 1024 + (mode === "mirror" ? flavor.diskGiB : 0);
  return Math.round(settings.liveMigrationCompletionTimeoutMs * Math.max(2, gib));
}
