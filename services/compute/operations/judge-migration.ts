import { computeVerbs, type GuestPower } from "../../../agent/protocol/compute.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { EffectContext } from "../../../kernel/operations/definition.ts";
import { isSilent } from "./call-errors.ts";
import type { MigrationRun } from "./run-migration.ts";
import { isVouchedDead } from "./vouched-dead.ts";

type Where = Pick<MigrationRun, "serverId" | "source" | "destination"> & {
  /** What the epoch of the commands to the source protects, when that is not the server. */
  readonly subject?: string;
};

export interface Verdict {
  readonly arrived: boolean;
  /** The source itself says that the guest has left it. */
  readonly handedOver: boolean;
}

/**
 * Finds out where the guest is after an unclear transfer: `arrived` when the destination has taken over, else the
 * destination has provably given up, so that the guest never runs twice. The command to migrate is withdrawn by now.
 *
 * The source is asked first: once it has handed over, the guest is nowhere but at the destination, also when it died
 * there before anybody had noted that it came. What the destination has must not be given up then.
 */
export async function judgeMigration(a: EffectContext, where: Where): Promise<Verdict> {
  const { source, destination } = where;
  const one = { serverId: where.serverId };
  const atSource = await lookAtSource(a, where);
  if (atSource === "moved") return { arrived: true, handedOver: true };
  try {
    if (atSource === "silent" && !(await isVouchedDead(a.read, source))) await mustNotHaveDied(a, where);
    await a.call(computeVerbs, "compute.abandonIncoming", one, { to: { host: destination } });
    return STAYED;
  } catch (refusal) {
    if (refusal instanceof CloudError && refusal.code === "compute.guest_running")
      return { arrived: true, handedOver: false };
    if (!isSilent(refusal)) throw refusal;
    // It is down with whatever had arrived. If the source has stopped sending and still has the guest, it is there.
    if (atSource === "running" || atSource === "paused") return STAYED;
    // Its end at the source is an end as well, when nobody hopes for the destination any more.
    const ended = atSource === "crashed" || atSource === "stopped";
    if (ended && (await isVouchedDead(a.read, destination))) return STAYED;
    throw refusal;
  }
}

const STAYED: Verdict = { arrived: false, handedOver: false };

/** Makes the source stop sending, then says what it has. */
async function lookAtSource(a: EffectContext, where: Where): Promise<GuestPower | "silent" | null> {
  const one = { serverId: where.serverId };
  const subject = where.subject ?? where.serverId;
  const options = { to: { host: where.source }, subject, extra: `judge-${a.attempt}` };
  try {
    await a.call(computeVerbs, "compute.abortMigration", one, options);
    return (await a.call(computeVerbs, "compute.inspect", one, options)).guest?.power ?? null;
  } catch (error) {
    // Post-copy: the destination runs it already.
    if (error instanceof CloudError && error.code === "compute.migration_not_abortable") return "moved";
    if (!isSilent(error)) throw error;
    return "silent";
  }
}

/** Throws `unavailable` while the destination has a guest that died there and may have run before. */
async function mustNotHaveDied(a: EffectContext, { serverId, source, destination }: Where): Promise<void> {
  const options = { to: { host: destination }, extra: `judge-${a.attempt}-destination` };
  const { guest } = await a.call(computeVerbs, "compute.inspect", { serverId }, options);
  if (guest?.power !== "crashed") return;
  throw new CloudError(
    "unavailable",
    "compute.source_silent",
    `Only host ${source} can tell whether the guest had left it; it does not answer.`,
  );
}
