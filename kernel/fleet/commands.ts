import type { Static } from "typebox";
import type { Command, CommandProgress, CommandResult } from "../../agent/protocol/envelope.ts";
import type { Clock } from "../clock/clock.ts";
import { CloudError, type ErrorKind, errorFromFault, type PublicFault } from "../errors/cloud-error.ts";
import type { CallerFactory, CallOptions, CallOrigin, CommandCaller, VerbTable } from "../operations/command-caller.ts";
import { LeaseLost } from "../operations/journal.ts";
import { holdsLease } from "../operations/lease.ts";
import { FINAL_STATES, type OperationState, type OperationTables } from "../operations/tables.ts";
import { type Queries, RESYNC_CHANNEL, type Store, type Tx } from "../store/store.ts";
import type { CommandRow, FleetTables } from "./tables.ts";

/** Payload: host (or `@cluster`) for which commands were added or revoked. */
export const COMMANDS_CHANNEL = "fleet.commands";
/** Payload: key of a command that has ended. */
const RESULTS_CHANNEL = "fleet.results";
/** Payload: JSON of CommandProgress. */
const PROGRESS_CHANNEL = "fleet.progress";

const DEFAULT_TIMEOUT_MS = 120_000;

interface Waiter {
  host: string | null;
  settle(row: CommandRow): void;
  fail(error: Error): void;
  progress: CallOptions["onProgress"];
}

/** Commands from operations to agents: stored before they are sent, answered at most once per key. */
export class Commands implements CallerFactory {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #waiters = new Map<string, Set<Waiter>>();
  readonly #unlisten: (() => void)[];

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
    this.#unlisten = [
      store.listen(RESULTS_CHANNEL, (key) => void this.#settle(key)),
      store.listen(RESYNC_CHANNEL, () => void this.settleAll()),
      store.listen(PROGRESS_CHANNEL, (payload) => this.#progress(JSON.parse(payload) as CommandProgress)),
    ];
  }

  close(): void {
    for (const unlisten of this.#unlisten) unlisten();
  }

  caller(origin: CallOrigin): CommandCaller["call"] {
    return async (_table, verb, input, options) => {
      const row = await this.#store.tx((t) => this.#enqueue(t, origin, verb, input, options));
      return resultOf(row.state === "queued" ? await this.#wait(row, origin, options) : row) as never;
    };
  }

  /**
   * Asks a host's agent something that changes nothing, outside of any operation: a read verb, which has no epoch.
   * Throws `unavailable` when the host does not answer in time.
   */
  async ask<Table extends VerbTable, V extends keyof Table & string>(
    _table: Table,
    verb: V,
    input: Static<Table[V]["input"]>,
    options: { host: string; subject: string; id: string; timeoutMs: number },
  ): Promise<Static<Table[V]["result"]>> {
    const now = this.#clock.now();
    const key = `ask/${options.id}`;
    const row: CommandRow = {
      key,
      base_key: key,
      try_number: 1,
      operation_id: "",
      step: "",
      phase: "",
      host: options.host,
      cluster: null,
      taken_by: null,
      subject: options.subject,
      epoch: 0,
      verb,
      input: JSON.stringify(input),
      state: "queued",
      outcome: null,
      deadline_at: now + options.timeoutMs,
      created_at: now,
    };
    await this.#store.tx(async (t) => {
      await t.tables<FleetTables>().insertInto("commands").values(row).execute();
      t.notify(COMMANDS_CHANNEL, options.host);
    });
    try {
      const { signal } = new AbortController();
      return resultOf(await this.#wait(row, { signal }, {})) as Static<Table[V]["result"]>;
    } finally {
      await this.#store.tx((t) => t.tables<FleetTables>().deleteFrom("commands").where("key", "=", key).execute());
    }
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
    return {
      commands: rows.filter((row) => isWanted(row) && !known.has(row.key)).map(toWire),
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

  /** Stores what an agent reports. Results of unknown, foreign or revoked commands are dropped. */
  async report(host: string, results: readonly CommandResult[], progress: readonly CommandProgress[]): Promise<void> {
    if (results.length === 0 && progress.length === 0) return;
    await this.#store.tx(async (t) => {
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
      const theirs = await this.#keysOf(t, host, progress);
      for (const item of progress) if (theirs.has(item.key)) t.notify(PROGRESS_CHANNEL, JSON.stringify(item));
    });
  }

  /** Keys of commands that this host has to answer. */
  async #keysOf(t: Tx, host: string, progress: readonly CommandProgress[]): Promise<Set<string>> {
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

  /** Fails the calls that wait for a host that is down: their operations decide what that means. */
  hostDown(host: string): void {
    for (const waiters of this.#waiters.values()) {
      for (const waiter of waiters) if (waiter.host === host) waiter.fail(hostDownError(host));
    }
  }

  /** Answers every waiting call whose answer is stored: the notification of it may have been lost. */
  async settleAll(): Promise<void> {
    await Promise.all([...this.#waiters.keys()].map((key) => this.#settle(key)));
  }

  /** Hosts for which calls wait here. */
  awaitedHosts(): Set<string> {
    const hosts = new Set<string>();
    for (const waiters of this.#waiters.values()) for (const { host } of waiters) if (host !== null) hosts.add(host);
    return hosts;
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

  async #enqueue(t: Tx, origin: CallOrigin, verb: string, input: unknown, options: CallOptions): Promise<CommandRow> {
    if (!(await holdsLease(t, origin.operationId, origin.epoch))) throw new LeaseLost();
    const db = t.tables<FleetTables>();
    const base = [origin.operationId, origin.step, origin.phase, verb, ...(options.extra ? [options.extra] : [])].join(
      "/",
    );
    const latest = await db
      .selectFrom("commands")
      .selectAll()
      .where("base_key", "=", base)
      .orderBy("try_number", "desc")
      .limit(1)
      .executeTakeFirst();
    if (latest?.state === "done") return latest;
    const deadline = this.#clock.now() + (options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    if (latest?.state === "queued") {
      // Join what is under way, under our own epoch so that the former runner's claim on it is void.
      const renewed = { epoch: origin.epoch, deadline_at: deadline };
      await db.updateTable("commands").set(renewed).where("key", "=", latest.key).execute();
      t.notify(COMMANDS_CHANNEL, addressee(options.to));
      return { ...latest, ...renewed };
    }
    const tryNumber = (latest?.try_number ?? 0) + 1;
    const row: CommandRow = {
      key: tryNumber === 1 ? base : `${base}#${tryNumber}`,
      base_key: base,
      try_number: tryNumber,
      operation_id: origin.operationId,
      step: origin.step,
      phase: origin.phase,
      host: "host" in options.to ? options.to.host : null,
      cluster: "cluster" in options.to ? options.to.cluster : null,
      taken_by: null,
      subject: options.subject ?? origin.resourceId,
      epoch: origin.epoch,
      verb,
      input: JSON.stringify(input),
      state: "queued",
      outcome: null,
      deadline_at: deadline,
      created_at: this.#clock.now(),
    };
    await db.insertInto("commands").values(row).execute();
    t.notify(COMMANDS_CHANNEL, addressee(options.to));
    return row;
  }

  async #wait(
    row: CommandRow,
    origin: Pick<CallOrigin, "signal">,
    options: Pick<CallOptions, "onProgress">,
  ): Promise<CommandRow> {
    const { promise, resolve, reject } = Promise.withResolvers<CommandRow>();
    const waiter: Waiter = { host: row.host, settle: resolve, fail: reject, progress: options.onProgress };
    const waiters = this.#waiters.get(row.key) ?? new Set();
    waiters.add(waiter);
    this.#waiters.set(row.key, waiters);
    const timer = this.#clock.after(Math.max(0, row.deadline_at - this.#clock.now()), () => reject(timeoutError(row)));
    const onAbort = () => reject(origin.signal.reason);
    origin.signal.addEventListener("abort", onAbort, { once: true });
    if (origin.signal.aborted) onAbort();
    try {
      // The answer may have come between the commit and the registration above.
      void this.#settle(row.key);
      return await promise;
    } catch (error) {
      // Whoever takes over after a lost lease joins the command; in every other case nobody wants its result.
      if (!(error instanceof LeaseLost) && !isUnavailable(error)) await this.#revoke(row);
      throw error;
    } finally {
      timer.cancel();
      origin.signal.removeEventListener("abort", onAbort);
      waiters.delete(waiter);
      if (waiters.size === 0) this.#waiters.delete(row.key);
    }
  }

  async #settle(key: string): Promise<void> {
    const waiters = this.#waiters.get(key);
    if (!waiters) return;
    try {
      const row = await this.#store.read
        .tables<FleetTables>()
        .selectFrom("commands")
        .selectAll()
        .where("key", "=", key)
        .executeTakeFirst();
      if (row && row.state !== "queued") for (const waiter of waiters) waiter.settle(row);
    } catch (error) {
      for (const waiter of waiters) waiter.fail(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #progress(item: CommandProgress): void {
    for (const waiter of this.#waiters.get(item.key) ?? []) waiter.progress?.(item.percent, item.detail);
  }

  async #revoke(row: CommandRow): Promise<void> {
    await this.#store.tx(async (t) => {
      await t
        .tables<FleetTables>()
        .updateTable("commands")
        .set({ state: "revoked" })
        .where("key", "=", row.key)
        .where("state", "=", "queued")
        .execute();
      t.notify(COMMANDS_CHANNEL, row.host ?? `@${row.cluster}`);
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

function isStaleRefusal({ epoch, outcome }: CommandResult): boolean {
  return epoch !== undefined && !outcome.ok && outcome.fault.code === "fleet.stale_epoch";
}

function toWire(row: CommandRow): Command {
  return {
    key: row.key,
    verb: row.verb,
    subject: row.subject,
    epoch: row.epoch,
    input: JSON.parse(row.input),
    deadlineAt: row.deadline_at,
  };
}

function resultOf(row: CommandRow): unknown {
  if (row.state === "done") return JSON.parse(row.outcome ?? "null");
  if (row.state === "failed") {
    const fault = JSON.parse(row.outcome ?? "{}") as PublicFault;
    throw errorFromFault({ ...fault, kind: fault.kind as ErrorKind });
  }
  throw new CloudError("conflict", "fleet.revoked", "The command was withdrawn.");
}

function addressee(to: CallOptions["to"]): string {
  return "host" in to ? to.host : `@${to.cluster}`;
}

function isUnavailable(error: unknown): boolean {
  return error instanceof CloudError && error.kind === "unavailable";
}

function timeoutError(row: CommandRow): CloudError {
  return new CloudError(
    "unavailable",
    "fleet.timeout",
    `Host ${row.host ?? row.cluster} did not finish ${row.verb} in time.`,
  );
}

export function hostDownError(host: string): CloudError {
  return new CloudError("unavailable", "fleet.host_down", `Host ${host} is down.`);
}
