import { ManualClock } from "../../clock/manual-clock.ts";
import { sequentialIds } from "../../ids/ids.ts";
import { type Logger, silentLogger } from "../../log/logger.ts";
import { counterMigration } from "../../store/counters.ts";
import type { Migration } from "../../store/migrate.ts";
import type { Store, Tx } from "../../store/store.ts";
import type { TestStore } from "../../store/testing/stores.ts";
import type { CallerFactory, CallOrigin } from "../command-caller.ts";
import { OperationControl } from "../control.ts";
import type { AnyOperation, Json, Operation } from "../definition.ts";
import type { Hook } from "../hooks.ts";
import { OperationRunner } from "../runner.ts";
import { type OperationRow, type OperationTables, operationMigrations, type StepRow } from "../tables.ts";

export const engineMigrations: readonly Migration[] = [counterMigration, ...operationMigrations];

export type Opener = (migrations: readonly Migration[]) => Promise<TestStore>;

/** What an agent would do with a call; the input is the second argument. */
export type FakeAgent = (origin: CallOrigin, verb: string, input: unknown) => Promise<unknown>;

export interface BenchOptions {
  definitions: readonly AnyOperation[];
  agent?: FakeAgent;
  hook?: Hook;
  log?: Logger;
}

/** A database, a clock, and runners for tests of the engine itself. */
export class OperationsBench {
  readonly clock = new ManualClock();
  readonly control: OperationControl;
  readonly store: Store;
  readonly again: () => Promise<Store>;
  readonly #options: BenchOptions;
  readonly #first: OperationRunner;
  #owners = 0;

  private constructor(test: TestStore, options: BenchOptions) {
    this.store = test.store;
    this.again = () => test.again();
    this.#options = options;
    this.control = new OperationControl(this.clock, sequentialIds());
    this.#first = this.runner();
  }

  static async open(open: Opener, options: BenchOptions): Promise<OperationsBench> {
    return new OperationsBench(await open(engineMigrations), options);
  }

  /** One more runner, as of another process. */
  runner(more: { store?: Store; hook?: Hook; definitions?: readonly AnyOperation[] } = {}): OperationRunner {
    this.#owners += 1;
    const hook = more.hook ?? this.#options.hook;
    return new OperationRunner({
      store: more.store ?? this.store,
      clock: this.clock,
      log: this.#options.log ?? silentLogger,
      callers: fakeCallers(this.#options.agent ?? (() => Promise.resolve({}))),
      definitions: more.definitions ?? this.#options.definitions,
      owner: `runner-${this.#owners}`,
      ...(hook ? { hook } : {}),
    });
  }

  async drain(): Promise<void> {
    await this.#first.drain();
  }

  /** Lets time pass and carries out what fell due. */
  async advance(ms: number): Promise<void> {
    this.clock.advance(ms);
    await this.#first.drain();
  }

  async start<Input>(definition: Operation<Input>, input: Input, resourceId = "thing-1"): Promise<string> {
    return await this.store.tx((t) => this.control.start(t, definition, { input, resourceId, projectId: "project" }));
  }

  async run<Input>(definition: Operation<Input>, input: Input): Promise<string> {
    const id = await this.start(definition, input);
    await this.drain();
    return id;
  }

  async signal(id: string, name: string, payload: Json = null): Promise<void> {
    await this.store.tx((t) => this.control.signal(t, id, name, payload));
  }

  async tx<T>(fn: (t: Tx) => Promise<T>): Promise<T> {
    return await this.store.tx(fn);
  }

  async show(id: string): Promise<OperationRow> {
    return await this.store.read
      .tables<OperationTables>()
      .selectFrom("operations")
      .selectAll()
      .where("id", "=", id)
      .executeTakeFirstOrThrow();
  }

  async steps(id: string): Promise<StepRow[]> {
    return await this.store.read
      .tables<OperationTables>()
      .selectFrom("operation_steps")
      .selectAll()
      .where("operation_id", "=", id)
      .orderBy("run")
      .orderBy("position")
      .execute();
  }

  /** `name:state` of every step record, in order. */
  async journal(id: string): Promise<string[]> {
    return (await this.steps(id)).map((row) => `${row.step}:${row.state}`);
  }

  async fault(id: string): Promise<{ kind: string; code: string } | null> {
    const { fault } = await this.show(id);
    return fault === null ? null : (JSON.parse(fault) as { kind: string; code: string });
  }
}

export function fakeCallers(agent: FakeAgent): CallerFactory {
  return {
    caller: (origin) => (_table, verb, input) => agent(origin, verb, input) as Promise<never>,
  };
}

/** A promise that a test settles by hand, to hold a step at a known place. */
export interface Gate {
  readonly opened: Promise<void>;
  /** Resolves when the step has reached the gate. */
  readonly reached: Promise<void>;
  pass(): Promise<void>;
  open(): void;
}

export function gate(): Gate {
  const opened = Promise.withResolvers<void>();
  const reached = Promise.withResolvers<void>();
  return {
    opened: opened.promise,
    reached: reached.promise,
    pass: () => {
      reached.resolve();
      return opened.promise;
    },
    open: () => opened.resolve(),
  };
}
