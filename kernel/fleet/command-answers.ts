import type { CommandProgress, CommandResult, ReportRequest } from "../../agent/protocol/envelope.ts";
import { CloudError, type ErrorKind, errorFromFault, type PublicFault } from "../errors/cloud-error.ts";
import type { Store, Tx } from "../store/store.ts";
import { PROGRESS_CHANNEL, RESULTS_CHANNEL } from "./command-channels.ts";
import type { CommandRow, FleetTables } from "./tables.ts";

/** Stores what an agent reports. Results of unknown, foreign or revoked commands are dropped. */
export async function storeReport(
  store: Store,
  host: string,
  { results, progress }: Pick<ReportRequest, "results" | "progress">,
): Promise<void> {
  if (results.length === 0 && progress.length === 0) return;
  await store.tx(async (t) => {
    for (const result of results) {
      const { key, outcome } = result;
      let answer = t
        .tables<FleetTables>()
        .updateTable("commands")
        .set(
          outcome.ok
            ? { state: "done", outcome: JSON.stringify(outcome.result ?? null) }
            : { state: "failed", outcome: JSON.stringify(outcome.fault) },
        )
        .where("key", "=", key)
        .where((eb) => eb.or([eb("host", "=", host), eb("taken_by", "=", host)]))
        .where("state", "=", "queued");
      // The refusal of a former runner's delivery says nothing about the delivery of who has taken over since.
      if (isStaleRefusal(result)) answer = answer.where("epoch", "<=", result.epoch ?? 0);
      const changed = await answer.executeTakeFirst();
      if (changed.numUpdatedRows > 0n) t.notify(RESULTS_CHANNEL, key);
    }
    const theirs = await keysOf(t, host, progress);
    for (const item of progress) if (theirs.has(item.key)) t.notify(PROGRESS_CHANNEL, JSON.stringify(item));
  });
}

/** Keys of commands that this host has to answer. */
async function keysOf(t: Tx, host: string, progress: readonly CommandProgress[]): Promise<Set<string>> {
  if (progress.length === 0) return new Set();
  const rows = await t
    .tables<FleetTables>()
    .selectFrom("commands")
    .select("key")
    .where(
      "key",
      "in",
      progress.map((item) => item.key),
    )
    .where((eb) => eb.or([eb("host", "=", host), eb("taken_by", "=", host)]))
    .execute();
  return new Set(rows.map((row) => row.key));
}

/** The result of a command that has ended. Throws the fault of one that failed, `fleet.revoked` for a withdrawn one. */
export function answerOf(row: CommandRow): unknown {
  if (row.state === "done") return JSON.parse(row.outcome ?? "null");
  if (row.state === "failed") {
    const fault = JSON.parse(row.outcome ?? "{}") as PublicFault;
    throw errorFromFault({ ...fault, kind: fault.kind as ErrorKind });
  }
  throw new CloudError("conflict", "fleet.revoked", "The command was withdrawn.");
}

function isStaleRefusal({ epoch, outcome }: CommandResult): boolean {
  return epoch !== undefined && !outcome.ok && outcome.fault.code === "fleet.stale_epoch";
}
