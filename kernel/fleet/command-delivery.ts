import type { Command } from "../../agent/protocol/envelope.ts";
import type { Clock } from "../clock/clock.ts";
import { FINAL_STATES, type OperationState, type OperationTables } from "../operations/tables.ts";
import type { Queries, Store, Tx } from "../store/store.ts";
import { COMMANDS_CHANNEL } from "./command-channels.ts";
import type { CommandRow, FleetTables } from "./tables.ts";

/** What agents are told: the commands that are wanted from them now, and what they are to stop or may forget. */
export class CommandDelivery {
  readonly #store: Store;
  readonly #clock: Clock;

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** What the agent of `host` has to do that it does not know yet, and what it is to stop doing or may forget. */
  async pending(
    host: string,
    clusters: readonly string[],
    known: ReadonlySet<string>,
  ): Promise<{ commands: Command[]; revoked: CommandRow[] }> {
    if (clusters.length > 0) await this.#store.tx((t) => this.#takeForCluster(t, host, clusters));
    const rows = await this.#store.read
      .tables<FleetTables & OperationTables>()
      .selectFrom("commands")
      .leftJoin("operations", "operations.id", "commands.operation_id")
      .selectAll("commands")
      .select(["operations.state as operation_state", "operations.direction", "operations.run"])
      .select("operations.step as operation_step")
      .where((eb) => eb.or([eb("host", "=", host), eb("taken_by", "=", host)]))
      .where("commands.state", "in", ["queued", "revoked"])
      .orderBy("commands.created_at")
      .execute();
    await this.#drop(rows.filter((row) => hasEnded(row) && !known.has(row.key)));
    const now = this.#clock.now();
    // Nobody waits any more for what is too late; a repeat of the call would give it time again.
    const fresh = rows.filter((row) => isWanted(row) && !known.has(row.key) && row.deadline_at > now);
    return {
      commands: fresh.map((row) => toWire(row, now)),
      revoked: rows.filter((row) => !isWanted(row) && known.has(row.key)),
    };
  }

  /** What nobody wants and the agent does not have (any more). */
  async #drop(rows: readonly CommandRow[]): Promise<void> {
    if (rows.length === 0) return;
    const keys = rows.map((row) => row.key);
    await this.#store.tx((t) => t.tables<FleetTables>().deleteFrom("commands").where("key", "in", keys).execute());
  }

  /** Those of `keys` whose answers are stored, or no longer wanted by anybody. */
  async forgettable(keys: readonly string[]): Promise<string[]> {
    if (keys.length === 0) return [];
    const rows = await this.#store.read
      .tables<FleetTables>()
      .selectFrom("commands")
      .select(["key", "state"])
      .where("key", "in", keys)
      .execute();
    const queued = new Set(rows.filter((row) => row.state === "queued").map((row) => row.key));
    return keys.filter((key) => !queued.has(key));
  }

  /** Members that work on commands of their cluster. */
  async takers(): Promise<string[]> {
    const rows = await this.#store.read
      .tables<FleetTables>()
      .selectFrom("commands")
      .select("taken_by")
      .distinct()
      .where("taken_by", "is not", null)
      .where("state", "=", "queued")
      .execute();
    return rows.flatMap((row) => row.taken_by ?? []);
  }

  /** Gives the commands of a cluster member that died to the others. */
  async releaseTaken(t: Tx, host: string): Promise<void> {
    const freed = await t
      .tables<FleetTables>()
      .updateTable("commands")
      .set({ taken_by: null })
      .where("taken_by", "=", host)
      .where("state", "=", "queued")
      .returning("cluster")
      .execute();
    for (const { cluster } of freed) t.notify(COMMANDS_CHANNEL, `@${cluster}`);
  }

  /**
   * Drops commands whose operation has ended. Those without an answer that an agent may have stay until it has polled
   * and does not work on them: until then it is told to stop.
   */
  async sweep(): Promise<void> {
    await this.#store.tx(async (t) => {
      // Questions whose asker died before the answer.
      await t
        .tables<FleetTables>()
        .deleteFrom("commands")
        .where("operation_id", "=", "")
        .where("deadline_at", "<", this.#clock.now())
        .execute();
      const ended = t
        .tables<OperationTables>()
        .selectFrom("operations")
        .select("id")
        .where("state", "in", FINAL_STATES);
      await t
        .tables<FleetTables>()
        .deleteFrom("commands")
        .where("operation_id", "in", ended)
        .where((eb) =>
          eb.or([eb("state", "in", ["done", "failed"]), eb.and([eb("host", "is", null), eb("taken_by", "is", null)])]),
        )
        .execute();
    });
  }

  async #takeForCluster(t: Tx, host: string, clusters: readonly string[]): Promise<void> {
    await t
      .tables<FleetTables>()
      .updateTable("commands")
      .set({ taken_by: host })
      .where("cluster", "in", clusters)
      .where("taken_by", "is", null)
      .where("state", "=", "queued")
      .execute();
  }
}

/** Hosts and clusters that work for an operation that has ended: their polls are to hear of it at once. */
export async function addresseesOfEnded(q: Queries, operationId: string): Promise<string[]> {
  const rows = await q
    .tables<FleetTables & OperationTables>()
    .selectFrom("commands")
    .innerJoin("operations", "operations.id", "commands.operation_id")
    .select(["commands.host", "commands.cluster", "commands.taken_by"])
    .where("operation_id", "=", operationId)
    .where("commands.state", "=", "queued")
    .where("operations.state", "in", FINAL_STATES)
    .execute();
  return rows.map((row) => row.host ?? row.taken_by ?? `@${row.cluster}`);
}

interface Asker {
  operation_state: OperationState | null;
  operation_step: string | null;
  direction: string | null;
  run: number | null;
}

/**
 * Its operation is alive and still where it sent the command from: in that step, or on that way back. What an operation
 * has left behind must not act later, on a host that was away meanwhile. A question has no operation.
 */
function isWanted(row: CommandRow & Asker): boolean {
  if (row.state !== "queued") return false;
  if (row.operation_state === null) return true;
  const forward = row.direction === "forward";
  const phase = `${forward ? "do" : "undo"}${row.run}`;
  const current = row.phase === phase || row.phase.startsWith(`${phase}-`);
  return current && (!forward || row.step === row.operation_step) && !FINAL_STATES.includes(row.operation_state);
}

function hasEnded(row: Asker): boolean {
  return row.operation_state !== null && FINAL_STATES.includes(row.operation_state);
}

function toWire(row: CommandRow, now: number): Command {
  return {
    key: row.key,
    verb: row.verb,
    subject: row.subject,
    epoch: row.epoch,
    input: JSON.parse(row.input),
    timeLeftMs: row.deadline_at - now,
  };
}
