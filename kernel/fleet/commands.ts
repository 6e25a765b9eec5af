import type { Static } from "typebox";
import type { Clock } from "../clock/clock.ts";
import type { CallerFactory, CallOptions, CallOrigin, CommandCaller, VerbTable } from "../operations/command-caller.ts";
import { LeaseLost } from "../operations/journal.ts";
import { holdsLease } from "../operations/lease.ts";
import type { Store, Tx } from "../store/store.ts";
import { AwaitedAnswers } from "./awaited-answers.ts";
import { answerOf } from "./command-answers.ts";
import { COMMANDS_CHANNEL } from "./command-channels.ts";
import type { CommandRow, FleetTables } from "./tables.ts";

const DEFAULT_TIMEOUT_MS = 120_000;

/** Commands from operations to agents: stored before they are sent, answered at most once per key. */
export class Commands implements CallerFactory {
  readonly awaited: AwaitedAnswers;
  readonly #store: Store;
  readonly #clock: Clock;

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
    this.awaited = new AwaitedAnswers(store, clock);
  }

  caller(origin: CallOrigin): CommandCaller["call"] {
    return async (_table, verb, input, options) => {
      const row = await this.#store.tx((t) => this.#enqueue(t, origin, verb, input, options));
      return answerOf(row.state === "queued" ? await this.awaited.wait(row, origin, options) : row) as never;
    };
  }

  /**
   * Asks a host's agent something that changes nothing, outside of any operation: a read verb, which has no epoch.
   * Throws `unavailable` when the host does not answer in time, and the signal's reason when it is aborted.
   */
  async ask<Table extends VerbTable, V extends keyof Table & string>(
    _table: Table,
    verb: V,
    input: Static<Table[V]["input"]>,
    options: { host: string; subject: string; id: string; timeoutMs: number; signal?: AbortSignal },
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
      const { signal = new AbortController().signal } = options;
      return answerOf(await this.awaited.wait(row, { signal }, {})) as Static<Table[V]["result"]>;
    } finally {
      await this.#store.tx((t) => t.tables<FleetTables>().deleteFrom("commands").where("key", "=", key).execute());
    }
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
}

function addressee(to: CallOptions["to"]): string {
  return "host" in to ? to.host : `@${to.cluster}`;
}
