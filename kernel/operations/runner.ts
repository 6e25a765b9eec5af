import type { Timer } from "../clock/clock.ts";
import type { PublicFault } from "../errors/cloud-error.ts";
import { errorFields } from "../log/logger.ts";
import { nextNumber } from "../store/counters.ts";
import { RESYNC_CHANNEL, type Tx } from "../store/store.ts";
import { CHANGED_CHANNEL, CONTROL_CHANNEL, DUE_CHANNEL } from "./channels.ts";
import type { AnyOperation } from "./definition.ts";
import type { ExecutionEnvironment } from "./environment.ts";
import { Execution } from "./execution.ts";
import { Journal } from "./journal.ts";
import { claim, dueNow, nextDue } from "./statements.ts";
import type { OperationRow, OperationTables } from "./tables.ts";

export interface RunnerOptions extends ExecutionEnvironment {
  readonly definitions: readonly AnyOperation[];
  /** Names this runner in leases; new for each process. */
  readonly owner: string;
  /** How long an operation stays ours without a renewal, milliseconds. */
  readonly leaseMs?: number;
  /** How many operations may be under way at once. */
  readonly maxRunning?: number;
}

/** One operation that this process has in hand. */
interface Running {
  execution: Execution | undefined;
  finished: Promise<void>;
  /** Set when the runner stops before the execution exists. */
  stopped: boolean;
}

const LEASE_MS = 30_000;
const MAX_RUNNING = 1000;
const CLAIM_AT_ONCE = 100;
/** A lost notification delays work by this much at most. */
const LONGEST_NAP_MS = 5_000;
const UNKNOWN_RECHECK_MS = 60_000;

/** Claims due operations under a lease and carries them out. Any number of runners may work on one database. */
export class OperationRunner {
  readonly #options: RunnerOptions;
  readonly #byName: Map<string, AnyOperation>;
  readonly #running = new Map<string, Running>();
  readonly #leaseMs: number;
  readonly #unlisten: (() => void)[] = [];
  #claiming: Promise<void> | undefined;
  #claimAgain = false;
  #nap: Timer | undefined;
  #renewal: Timer | undefined;
  #renewing: Promise<void> = Promise.resolve();
  /** Ends the pause of `drain`. */
  #kick = () => {};
  #started = false;

  constructor(options: RunnerOptions) {
    this.#options = options;
    this.#leaseMs = options.leaseMs ?? LEASE_MS;
    this.#byName = new Map(options.definitions.map((d) => [d.name, d]));
    if (this.#byName.size !== options.definitions.length) throw new Error("two operations have the same name");
  }

  /** Works by itself until `stop`: on notifications, on timers, and renewing its leases. */
  async start(): Promise<void> {
    await this.#adoptOwnDatabase();
    this.#started = true;
    const { store } = this.#options;
    this.#unlisten.push(
      store.listen(DUE_CHANNEL, () => this.#wake()),
      store.listen(CONTROL_CHANNEL, (id) => void this.#control(id)),
      store.listen(RESYNC_CHANNEL, () => {
        this.#wake();
        for (const id of this.#running.keys()) void this.#control(id);
      }),
    );
    this.#scheduleRenewal();
    this.#wake();
  }

  /** Stops claiming and leaves: operations at work are handed to whoever claims them next. */
  async stop(): Promise<void> {
    this.#started = false;
    for (const unlisten of this.#unlisten.splice(0)) unlisten();
    this.#nap?.cancel();
    this.#renewal?.cancel();
    await this.#claiming;
    await this.#renewing;
    for (const running of this.#running.values()) {
      running.stopped = true;
      running.execution?.leaseLost();
    }
    await Promise.all([...this.#running.values()].map((r) => r.finished));
    await this.#giveUpLeases();
  }

  /** For tests, instead of `start`: carries out everything that is due until nothing is. */
  async drain(): Promise<void> {
    const { store } = this.#options;
    const unlisten = [
      store.listen(DUE_CHANNEL, () => this.#kick()),
      store.listen(CONTROL_CHANNEL, (id) => void this.#control(id)),
    ];
    try {
      for (;;) {
        const kicked = Promise.withResolvers<void>();
        this.#kick = kicked.resolve;
        const claimed = await this.#claim(this.#options.clock.now());
        if (claimed === 0 && this.#running.size === 0) return;
        if (this.#running.size > 0) {
          await Promise.race([kicked.promise, ...[...this.#running.values()].map((r) => r.finished)]);
        }
      }
    } finally {
      for (const stop of unlisten) stop();
    }
  }

  /** Operations at work in this process. */
  get runningCount(): number {
    return this.#running.size;
  }

  #wake(): void {
    this.#kick();
    if (!this.#started) return;
    if (this.#claiming) {
      this.#claimAgain = true;
      return;
    }
    this.#claiming = this.#claimAll().finally(() => {
      this.#claiming = undefined;
      if (this.#claimAgain) this.#wake();
    });
  }

  async #claimAll(): Promise<void> {
    let now = this.#options.clock.now();
    try {
      do {
        now = this.#options.clock.now();
        this.#claimAgain = false;
        if ((await this.#claim(now)) === CLAIM_AT_ONCE) this.#claimAgain = true;
      } while (this.#claimAgain && this.#started);
    } catch (error) {
      this.#options.log.error(errorFields(error), "cannot claim operations");
    }
    if (this.#started) await this.#takeNap(now);
  }

  /** Sleeps until something falls due. What was due at `now` is claimed, by us or another, or waits for room here. */
  async #takeNap(now: number): Promise<void> {
    const { clock, store } = this.#options;
    const next = await nextDue.first(store.read, { now }).catch(() => undefined);
    const wait = Math.min(LONGEST_NAP_MS, Math.max(5, (next?.at ?? Number.POSITIVE_INFINITY) - clock.now()));
    this.#nap?.cancel();
    if (this.#started) this.#nap = clock.after(wait, () => this.#wake());
  }

  async #claim(now: number): Promise<number> {
    const { store, owner } = this.#options;
    const room = Math.min(CLAIM_AT_ONCE, (this.#options.maxRunning ?? MAX_RUNNING) - this.#running.size);
    if (room <= 0) return 0;
    const rows = await store.tx(async (t) => {
      const due = await this.#due(t, room, now);
      if (due.length === 0) return [];
      // One number serves a whole batch: epochs only have to grow for each operation and each resource.
      const epoch = await nextNumber(t, "operation.epoch");
      return await claim.all(t, { ids: JSON.stringify(due), owner, epoch, until: now + this.#leaseMs, now });
    });
    rows.sort((a, b) => b.priority - a.priority || a.created_at - b.created_at);
    for (const row of rows) this.#spawn(row);
    return rows.length;
  }

  async #due(t: Tx, atMost: number, now: number): Promise<string[]> {
    const rows = await dueNow[t.dialect].all(t, { now, atMost });
    // What this process has in hand is never claimed again by itself, even when the lease ran out meanwhile.
    return rows.map((row) => row.id).filter((id) => !this.#running.has(id));
  }

  #spawn(row: OperationRow): void {
    const entry: Running = { execution: undefined, finished: Promise.resolve(), stopped: false };
    this.#running.set(row.id, entry);
    entry.finished = this.#carryOut(row, entry)
      .catch((error: unknown) => {
        this.#options.log.error(
          { operation: row.id, ...errorFields(error) },
          "an operation was left to its lease after an unexpected error",
        );
      })
      .finally(() => {
        this.#running.delete(row.id);
        this.#wake();
      });
  }

  async #carryOut(row: OperationRow, entry: Running): Promise<void> {
    const definition = this.#byName.get(row.name);
    if (!definition) {
      await this.#parkUnknown(row);
      return;
    }
    const journal = await Journal.open(this.#options.store, this.#options.clock, row);
    if (entry.stopped) return;
    entry.execution = new Execution(this.#options, definition, journal);
    await entry.execution.run();
  }

  /** An operation of a newer or older program: kept, shown as stuck, left for a process that knows it. */
  async #parkUnknown(row: OperationRow): Promise<void> {
    this.#options.log.error({ operation: row.id, kind: row.name }, "this program does not know the operation");
    const { clock, store } = this.#options;
    await store.tx(async (t) => {
      await t
        .tables<OperationTables>()
        .updateTable("operations")
        .set({
          state: "stuck",
          trouble: JSON.stringify(unknownOperation(row.name)),
          run_at: clock.now() + UNKNOWN_RECHECK_MS,
        })
        .where("id", "=", row.id)
        .where("epoch", "=", row.epoch)
        .where("state", "=", "running")
        .execute();
      t.notify(CHANGED_CHANNEL, row.id);
    });
  }

  async #control(id: string): Promise<void> {
    try {
      await this.#running.get(id)?.execution?.controlChanged();
    } catch (error) {
      this.#options.log.warn({ operation: id, ...errorFields(error) }, "cannot read an operation's signals");
    }
  }

  #scheduleRenewal(): void {
    this.#renewal = this.#options.clock.after(this.#leaseMs / 3, () => {
      this.#renewing = this.#renew()
        .catch((error: unknown) => this.#options.log.error(errorFields(error), "cannot renew leases"))
        .finally(() => {
          if (this.#started) this.#scheduleRenewal();
        });
    });
  }

  /**
   * Renews what is ours, lets go of what is not any more, and alerts about what is late. Each operation also reads its
   * control flags and signals here: a lost notification delays a cancel or a fence by no more than a renewal.
   */
  async #renew(): Promise<void> {
    const { store, clock, owner } = this.#options;
    const ids = [...this.#running.keys()];
    await store.tx(async (t) => {
      await this.#alertLate(t);
      if (ids.length === 0) return;
      await t
        .tables<OperationTables>()
        .updateTable("operations")
        .set({ run_at: clock.now() + this.#leaseMs })
        .where("id", "in", ids)
        .where("lease_owner", "=", owner)
        .where("state", "=", "running")
        .execute();
    });
    await Promise.all(ids.map((id) => this.#control(id)));
  }

  /** Once per operation, by whichever runner is first. */
  async #alertLate(t: Tx): Promise<void> {
    const late = await t
      .tables<OperationTables>()
      .updateTable("operations")
      .set({ late: 1 })
      .where("late", "=", 0)
      .where("finished_at", "is", null)
      .where("deadline_at", "<", this.#options.clock.now())
      .returning(["id", "name", "step"])
      .execute();
    for (const row of late) {
      this.#options.log.warn({ operation: row.id, kind: row.name, step: row.step }, "operation is past its deadline");
      t.notify(CHANGED_CHANNEL, row.id);
    }
  }

  /** Where no other process can exist, leases of earlier processes are dead. */
  async #adoptOwnDatabase(): Promise<void> {
    const { store, clock } = this.#options;
    if (!store.exclusive) return;
    await store.tx((t) =>
      t
        .tables<OperationTables>()
        .updateTable("operations")
        .set({ run_at: clock.now() })
        .where("state", "=", "running")
        .execute(),
    );
  }

  async #giveUpLeases(): Promise<void> {
    const { store, clock, owner } = this.#options;
    await store.tx(async (t) => {
      await t
        .tables<OperationTables>()
        .updateTable("operations")
        .set({ run_at: clock.now(), state: "ready" })
        .where("state", "=", "running")
        .where("lease_owner", "=", owner)
        .execute();
      t.notify(DUE_CHANNEL, "");
    });
  }
}

function unknownOperation(name: string): PublicFault {
  return {
    kind: "unavailable",
    code: "operation.unknown",
    message: `No running program knows the operation ${name}. Start the version that began it.`,
  };
}
