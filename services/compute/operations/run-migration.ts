import { computeVerbs, type MigrationMode } from "../../../agent/protocol/compute.ts";
import type { InputOf } from "../../../agent/protocol/verb.ts";
import type { Clock } from "../../../kernel/clock/clock.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { errorFields } from "../../../kernel/log/logger.ts";
import type { EffectContext, Json } from "../../../kernel/operations/definition.ts";
import type { ComputeSettings } from "../settings.ts";
import type { FlavorSnapshot } from "../store/tables.ts";
import { isUnavailable } from "./retry-elsewhere.ts";

export interface MigrationRun {
  readonly serverId: string;
  readonly source: string;
  readonly destination: string;
  readonly command: InputOf<(typeof computeVerbs)["compute.migrateOut"]>;
  /** Completion timeout; 0 is off. */
  readonly timeoutMs: number;
  readonly onTimeout: ComputeSettings["liveMigrationTimeoutAction"];
  readonly clock: Clock;
}

export interface MigrationOutcome {
  readonly outcome: "completed" | "aborted" | "failed";
  readonly reason: string | null;
  /** Milliseconds the guest stood still, when the hypervisor told. */
  readonly downtimeMs: number | null;
}

/** Longer than any migration: its own completion timeout ends it first. */
const NO_LIMIT_MS = 24 * 3_600_000;

/**
 * Runs the transfer and finds out where the guest ended up. Says `completed` only when the destination has the guest, and
 * `aborted` or `failed` only when the destination has provably given up, so that it never runs twice.
 */
export async function runMigration(a: EffectContext, run: MigrationRun): Promise<MigrationOutcome> {
  const one = { serverId: run.serverId };
  const control = (verb: "compute.abortMigration" | "compute.forceCompleteMigration", extra: string) =>
    void a
      .call(computeVerbs, verb, one, { to: { host: run.source }, extra })
      .catch((error: unknown) => a.log.warn(errorFields(error), `${verb} failed`));
  a.onSignal("abort", () => control("compute.abortMigration", "asked"));
  a.onSignal("force_complete", () => control("compute.forceCompleteMigration", "asked"));
  const timer =
    run.timeoutMs === 0
      ? undefined
      : run.clock.after(run.timeoutMs, () =>
          control(run.onTimeout === "abort" ? "compute.abortMigration" : "compute.forceCompleteMigration", "timeout"),
        );
  try {
    const { downtimeMs } = await a.call(computeVerbs, "compute.migrateOut", run.command, {
      to: { host: run.source },
      timeoutMs: NO_LIMIT_MS,
      onProgress: (percent, detail) => a.progress(percent, detail as Record<string, Json>),
    });
    return { outcome: "completed", reason: null, downtimeMs };
  } catch (error) {
    return await judge(a, run, error);
  } finally {
    timer?.cancel();
  }
}

/** The source reports a failure, or nothing at all: the destination knows whether it took over. */
async function judge(a: EffectContext, run: MigrationRun, error: unknown): Promise<MigrationOutcome> {
  if (!(error instanceof CloudError) || a.signal.aborted) throw error;
  const one = { serverId: run.serverId };
  try {
    await a.call(computeVerbs, "compute.abandonIncoming", one, { to: { host: run.destination } });
  } catch (refusal) {
    if (refusal instanceof CloudError && refusal.code === "compute.guest_running")
      return { outcome: "completed", reason: null, downtimeMs: null };
    // The destination is down with whatever had arrived. If the source still answers, the guest is there.
    if (!isUnavailable(refusal)) throw refusal;
    const { guest } = await a.call(computeVerbs, "compute.inspect", one, {
      to: { host: run.source },
      extra: `judge-${a.attempt}`,
    });
    if (guest?.power !== "running" && guest?.power !== "paused") throw refusal;
  }
  const aborted = error.code === "compute.migration_aborted";
  return { outcome: aborted ? "aborted" : "failed", reason: aborted ? null : error.message, downtimeMs: null };
}

/** `live_migration_completion_timeout` counts per GiB of memory and of disk to copy, two at least. */
export function completionTimeoutMs(settings: ComputeSettings, flavor: FlavorSnapshot, mode: MigrationMode): number {
  const gib = flavor.ramMiB / 1024 + (mode === "mirror" ? flavor.diskGiB : 0);
  return Math.round(settings.liveMigrationCompletionTimeoutMs * Math.max(2, gib));
}
