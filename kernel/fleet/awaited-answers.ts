import type { CommandProgress } from "../../agent/protocol/envelope.ts";
import type { Clock } from "../clock/clock.ts";
import { CloudError } from "../errors/cloud-error.ts";
import type { CallOptions, CallOrigin } from "../operations/command-caller.ts";
import { LeaseLost } from "../operations/journal.ts";
import { RESYNC_CHANNEL, type Store } from "../store/store.ts";
import { COMMANDS_CHANNEL, PROGRESS_CHANNEL, RESULTS_CHANNEL } from "./command-channels.ts";
import type { CommandRow, FleetTables } from "./tables.ts";

interface Waiter {
  host: string | null;
  settle(row: CommandRow): void;
  fail(error: Error): void;
  progress: CallOptions["onProgress"];
}

/** The calls of this process that wait for their commands to end. */
export class AwaitedAnswers {
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

  /** Resolves with the command when it has ended. Throws `unavailable` when that takes too long or its host is down. */
  async wait(
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
  hosts(): Set<string> {
    const hosts = new Set<string>();
    for (const waiters of this.#waiters.values()) for (const { host } of waiters) if (host !== null) hosts.add(host);
    return hosts;
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

function hostDownError(host: string): CloudError {
  return new CloudError("unavailable", "fleet.host_down", `Host ${host} is down.`);
}
