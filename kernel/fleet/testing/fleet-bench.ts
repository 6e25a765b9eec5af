import { setImmediate } from "node:timers/promises";
import type { CommandResult, PollReply } from "../../../agent/protocol/envelope.ts";
import { ManualClock } from "../../clock/manual-clock.ts";
import { systemIds } from "../../ids/ids.ts";
import { silentLogger } from "../../log/logger.ts";
import type { CallOptions, CallOrigin } from "../../operations/command-caller.ts";
import { OperationControl } from "../../operations/control.ts";
import { operation } from "../../operations/definition.ts";
import { type OperationTable, type OperationTables, operationMigrations } from "../../operations/tables.ts";
import { counterMigration } from "../../store/counters.ts";
import type { Migration } from "../../store/migrate.ts";
import type { Store } from "../../store/store.ts";
import type { TestStore } from "../../store/testing/stores.ts";
import { Fleet, type FleetListener } from "../fleet.ts";
import { defaultFleetSettings } from "../settings.ts";
import { type FleetTables, fleetMigrations } from "../tables.ts";

const migrations = [counterMigration, ...operationMigrations, ...fleetMigrations];

const UNTIL_MS = 30_000;

const work = operation<null>("test.work", { resource: "thing", deadlineMs: 60_000 })
  .step("act", { effect: async () => {} })
  .build();

/** The server's side of the agent protocol, with operations that are held by hand. */
export class FleetBench {
  readonly clock = new ManualClock();
  readonly store: Store;
  readonly fleet: Fleet;
  readonly control: OperationControl;
  readonly #test: TestStore;
  readonly #fleets: Fleet[] = [];

  private constructor(test: TestStore, listeners: readonly FleetListener[]) {
    this.#test = test;
    this.store = test.store;
    this.control = new OperationControl(this.clock, systemIds);
    this.fleet = this.newFleet(this.store, listeners);
  }

  static async open(
    open: (migrations: readonly Migration[]) => Promise<TestStore>,
    listeners: readonly FleetListener[] = [],
  ): Promise<FleetBench> {
    return new FleetBench(await open(migrations), listeners);
  }

  newFleet(store: Store, listeners: readonly FleetListener[] = []): Fleet {
    const { clock } = this;
    const options = { store, clock, ids: systemIds, log: silentLogger, settings: defaultFleetSettings, zone: "nova" };
    const fleet = new Fleet({ ...options, listeners });
    this.#fleets.push(fleet);
    return fleet;
  }

  /** One more connection, as of another process of the server. */
  async again(): Promise<Store> {
    return await this.#test.again();
  }

  /** The first poll of a boot. */
  async boot(host: string, cluster: string | null = null, fleet = this.fleet): Promise<PollReply> {
    const service = { binary: "test-agent", service: "test", facts: {}, cluster };
    return await fleet.poll(host, {
      bootId: systemIds.uuid(),
      services: [service],
      inventory: { test: [] },
      known: [],
      waitMs: 0,
    });
  }

  async poll(host: string, known: string[] = [], waitMs = 0, fleet = this.fleet): Promise<PollReply> {
    return await fleet.poll(host, { bootId: "b", known, waitMs });
  }

  async answer(host: string, key: string, result: unknown, epoch?: number): Promise<void> {
    await this.#report(host, { key, outcome: { ok: true, result }, ...(epoch === undefined ? {} : { epoch }) });
  }

  async refuse(host: string, key: string, code: string, epoch?: number): Promise<void> {
    const fault = { kind: "conflict", code, message: "No." };
    await this.#report(host, { key, outcome: { ok: false, fault }, ...(epoch === undefined ? {} : { epoch }) });
  }

  /** An operation in its step `act`, held under an epoch. */
  async held(epoch = 1): Promise<string> {
    const id = await this.store.tx((t) => this.control.start(t, work, { input: null, resourceId: "thing" }));
    await this.set(id, { state: "running", epoch, step: "act" });
    return id;
  }

  async set(id: string, change: Partial<OperationTable>): Promise<void> {
    await this.store.tx((t) =>
      t.tables<OperationTables>().updateTable("operations").set(change).where("id", "=", id).execute(),
    );
  }

  call(
    operationId: string,
    to: CallOptions["to"],
    more: Partial<CallOrigin> & Pick<CallOptions, "timeoutMs" | "onProgress"> & { fleet?: Fleet } = {},
  ): Promise<unknown> {
    const { fleet = this.fleet, timeoutMs, onProgress, ...origin } = more;
    const { signal } = new AbortController();
    const about = { operationId, step: "act", phase: "do1", epoch: 1, resourceId: "thing", signal, ...origin };
    const answer = fleet.commands.caller(about)({} as never, "test.act" as never, {} as never, {
      to,
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      ...(onProgress ? { onProgress } : {}),
    });
    answer.catch(() => {});
    return answer;
  }

  /** When so many commands are stored. */
  async stored(count: number): Promise<void> {
    const db = this.store.read.tables<FleetTables>();
    await this.until(async () => (await db.selectFrom("commands").select("key").execute()).length >= count);
  }

  /** Asks again and again until the answer is neither false nor absent; at most for half a minute of real time. */
  async until<T>(ask: () => Promise<T | false | undefined> | T | false | undefined): Promise<T> {
    const limit = performance.now() + UNTIL_MS;
    while (performance.now() < limit) {
      const answer = await ask();
      if (answer !== false && answer !== undefined) return answer;
      await setImmediate();
    }
    throw new Error("what was waited for did not happen");
  }

  async close(): Promise<void> {
    for (const fleet of this.#fleets) await fleet.close();
    await this.#test.dispose();
  }

  async #report(host: string, result: CommandResult): Promise<void> {
    await this.fleet.report(host, { results: [result], progress: [], events: [] });
  }
}
