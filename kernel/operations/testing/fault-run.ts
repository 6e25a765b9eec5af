import assert from "node:assert/strict";
import { silentLogger } from "../../log/logger.ts";
import type { Migration } from "../../store/migrate.ts";
import type { Queries, Reading, Store, Tx, Unlisten } from "../../store/store.ts";
import type { CallerFactory } from "../command-caller.ts";
import type { StartOptions } from "../control.ts";
import type { AnyOperation, Json, Operation } from "../definition.ts";
import { OperationRunner } from "../runner.ts";
import { FINAL_STATES, type OperationRow, type OperationState, type OperationTables } from "../tables.ts";
import type { FaultCase, Survey } from "./fault-cases.ts";
import { FaultInjector } from "./fault-injector.ts";
import { PassingTime } from "./passing-time.ts";
import { type WorldTools, worldTools } from "./world-tools.ts";

/** What surrounds the operation: made anew for each case, on an empty database. */
export interface FaultWorld {
  /** Reaches the simulated agents. */
  readonly callers: CallerFactory;
  /** Further operations that the one under test starts. */
  readonly definitions?: readonly AnyOperation[];
  /** Kills the agent that is at work and lets it start again. Without it, agents are not crashed. */
  crashAgent?(): Promise<void>;
  /** Called at every turn of the event loop while a step is at work. Without it, time passes whenever nothing is under way on the store. */
  pump?(): void;
  /** Lets time pass while no step is at work, milliseconds. Without it, the clock is moved. */
  pass?(ms: number): Promise<void>;
  close?(): Promise<void>;
}

/** The operation while nothing is at work on it. */
export interface AtRest {
  readonly id: string;
  readonly state: OperationState;
  readonly step: string | null;
  readonly direction: "forward" | "undo";
  /** Names of the signals that would wake it. */
  readonly waitingFor: readonly string[];
  signal(name: string, payload?: Json): Promise<void>;
}

export interface FaultMatrixOptions<Input, World extends FaultWorld> {
  /** Tables that the world needs, the operations' own included. */
  migrations: readonly Migration[];
  world: (tools: WorldTools) => Promise<World> | World;
  /** Prepares the resource as the API handler would have, and says how the operation is started. */
  given: (world: World) => Promise<StartOptions<Input>> | StartOptions<Input>;
  /** Called when the operation rests: sends signals, moves the clock. False: the clock moves to when it wakes by itself. */
  drive?: (world: World, operation: AtRest) => Promise<boolean> | boolean;
  /** The clean slate after an operation that reached its goal, and after one that was undone. */
  afterSuccess: (world: World) => Promise<void> | void;
  afterUnwind: (world: World) => Promise<void> | void;
}

const LEASE_MS = 30_000;
const MAX_ROUNDS = 300;
/** Of the run's own clock: a step that is still at work after so much hangs. */
const HANG_MS = 4 * 3_600_000;

/** Runs the operation once with one fault, or with none, to its end. Rejects with what is wrong; unless `checked` the slate may be dirty. */
export async function runFaultCase<Input, World extends FaultWorld>(
  store: Store,
  definition: Operation<Input>,
  options: FaultMatrixOptions<Input, World>,
  faultCase?: FaultCase,
  checked = true,
): Promise<Survey> {
  const run = await FaultRun.begin(store, definition, options, faultCase);
  try {
    const row = await run.toTheEnd();
    const { survey } = run;
    if (faultCase) assert.ok(run.faultHappened, "the fault did not happen: the run went another way than the survey");
    const endings: readonly string[] = faultCase?.endings ?? ["done"];
    assert.ok(
      endings.includes(row.state),
      `ended ${row.state}, not ${endings.join(" or ")}: ${row.fault ?? "no fault"}`,
    );
    if (!checked) return survey;
    if (row.state === "done") await options.afterSuccess(run.world);
    else await options.afterUnwind(run.world);
    await run.expectNothingHeld();
    return survey;
  } finally {
    await run.close();
  }
}

class FaultRun<Input, World extends FaultWorld> {
  readonly world: World;
  readonly #options: FaultMatrixOptions<Input, World>;
  readonly #tools: WorldTools;
  readonly #injector: FaultInjector;
  readonly #definitions: readonly AnyOperation[];
  readonly #id: string;
  readonly #time: PassingTime;
  #runner: OperationRunner;
  #store: MortalStore;
  #dead = false;
  #runners = 0;

  private constructor(
    world: World,
    options: FaultMatrixOptions<Input, World>,
    tools: WorldTools,
    injector: FaultInjector,
    definition: AnyOperation,
    id: string,
  ) {
    this.world = world;
    this.#options = options;
    this.#tools = tools;
    this.#injector = injector;
    this.#definitions = [injector.definition(definition), ...(world.definitions ?? [])];
    this.#id = id;
    this.#time = new PassingTime(tools);
    this.#store = new MortalStore(tools.store);
    this.#runner = this.#newRunner();
    void injector.died.then(() => {
      this.#dead = true;
    });
  }

  static async begin<Input, World extends FaultWorld>(
    store: Store,
    definition: Operation<Input>,
    options: FaultMatrixOptions<Input, World>,
    faultCase: FaultCase | undefined,
  ): Promise<FaultRun<Input, World>> {
    const tools = worldTools(store);
    const { control } = tools;
    const world = await options.world(tools);
    const start = await options.given(world);
    const id = await tools.store.tx((t) => control.start(t, definition, start));
    const injector = new FaultInjector(faultCase, {
      cancel: (operationId) => tools.store.tx((t) => control.cancel(t, operationId)),
      crashAgent: async () => await world.crashAgent?.(),
    });
    return new FaultRun(world, options, tools, injector, definition, id);
  }

  get survey(): Survey {
    return { ...this.#injector.survey(), canCrashAgent: this.world.crashAgent !== undefined };
  }

  get faultHappened(): boolean {
    return this.#injector.happened;
  }

  async close(): Promise<void> {
    await this.world.close?.();
    await this.#tools.store.close();
  }

  /** Until this operation and all that it started have ended. */
  async toTheEnd(): Promise<OperationRow> {
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
      await this.#work();
      const live = await this.#live();
      const stuck = live.find((row) => row.state === "stuck");
      assert.equal(stuck, undefined, `${stuck?.name} is stuck in ${stuck?.step}: ${stuck?.trouble}`);
      const own = live.find((row) => row.id === this.#id);
      if (live.length === 0) return await this.#own();
      if (own && (await this.#drive(own))) continue;
      const next = Math.min(...live.map((row) => row.run_at ?? Number.POSITIVE_INFINITY));
      const { clock } = this.#tools;
      assert.ok(
        Number.isFinite(next),
        `nothing would ever wake it: ${live.map((row) => `${row.name} in ${row.step} for ${row.wait_signals}`).join(", ")}`,
      );
      const ms = next - clock.now();
      if (ms > 0) await (this.world.pass ? this.world.pass(ms) : clock.advance(ms));
    }
    return assert.fail(`no end after ${MAX_ROUNDS} rounds, in step ${(await this.#own()).step}`);
  }

  async expectNothingHeld(): Promise<void> {
    const db = this.#tools.store.read.tables<OperationTables>();
    const slots = await db.selectFrom("operation_slots").selectAll().execute();
    assert.deepEqual(slots, [], "slots are still held");
  }

  /** Lets the runner work until it is idle, or dead; a dead one is replaced. */
  async #work(): Promise<void> {
    let idle = false;
    let failure: unknown;
    this.#runner.drain().then(
      () => {
        idle = true;
      },
      (error: unknown) => {
        failure = error;
      },
    );
    const { clock } = this.#tools;
    const begun = clock.now();
    while (!idle && !this.#dead && failure === undefined) {
      await this.#tools.store.turn();
      if (this.world.pump) this.world.pump();
      else this.#time.turn();
      if (clock.now() - begun > HANG_MS) assert.fail(`step ${(await this.#own()).step} hangs`);
    }
    if (failure !== undefined) throw failure;
    if (this.#dead || (await this.#own()).state === "running") {
      this.#dead = false;
      this.#store.die();
      this.#store = new MortalStore(this.#tools.store);
      this.#runner = this.#newRunner();
    }
  }

  async #drive(row: OperationRow): Promise<boolean> {
    if (!this.#options.drive) return false;
    const { store, control } = this.#tools;
    const waitingFor = row.state === "waiting" && row.wait_signals ? (JSON.parse(row.wait_signals) as string[]) : [];
    return await this.#options.drive(this.world, {
      id: row.id,
      state: row.state,
      step: row.step,
      direction: row.direction,
      waitingFor,
      signal: (name, payload = null) => store.tx((t) => control.signal(t, row.id, name, payload)),
    });
  }

  #newRunner(): OperationRunner {
    this.#runners += 1;
    return new OperationRunner({
      store: this.#store,
      clock: this.#tools.clock,
      log: silentLogger,
      callers: this.#injector.callers(this.world.callers),
      definitions: this.#definitions,
      owner: `matrix-${this.#runners}`,
      leaseMs: LEASE_MS,
      hook: (point) => {
        if (point.operationId === this.#id) this.#injector.hook(point);
      },
    });
  }

  async #live(): Promise<OperationRow[]> {
    const db = this.#tools.store.read.tables<OperationTables>();
    return await db.selectFrom("operations").selectAll().where("state", "not in", FINAL_STATES).execute();
  }

  async #own(): Promise<OperationRow> {
    const db = this.#tools.store.read.tables<OperationTables>();
    return await db.selectFrom("operations").selectAll().where("id", "=", this.#id).executeTakeFirstOrThrow();
  }
}

/** A runner's view of the store. After its death nothing reaches the store any more, and nothing reaches the runner. */
class MortalStore implements Store {
  readonly dialect: Store["dialect"];
  readonly exclusive: boolean;
  readonly read: Queries;
  readonly #inner: Store;
  readonly #listening: Unlisten[] = [];
  #alive = true;

  constructor(inner: Store) {
    this.dialect = inner.dialect;
    this.exclusive = inner.exclusive;
    this.read = inner.read;
    this.#inner = inner;
  }

  die(): void {
    this.#alive = false;
    for (const unlisten of this.#listening) unlisten();
  }

  reading(): Reading {
    return this.#inner.reading();
  }

  tx<T>(fn: (t: Tx) => Promise<T>): Promise<T> {
    return this.#alive ? this.#inner.tx(fn) : new Promise<never>(() => {});
  }

  listen(channel: string, listener: (payload: string) => void): Unlisten {
    const unlisten = this.#inner.listen(channel, listener);
    this.#listening.push(unlisten);
    return unlisten;
  }

  async close(): Promise<void> {}
}
