import { createSimBlockStorageDriver } from "../../../../agent/drivers/block-storage/sim/sim-block-storage-driver.ts";
import { SimStorageWorld } from "../../../../agent/drivers/block-storage/sim/sim-storage-world.ts";
import { createSimComputeDriver } from "../../../../agent/drivers/compute/sim/sim-compute-driver.ts";
import { SimWorld } from "../../../../agent/drivers/compute/sim/sim-world.ts";
import { blockStorageService } from "../../../../agent/runtime/block-storage-service.ts";
import { computeService } from "../../../../agent/runtime/compute-service.ts";
import type { InProcessServer } from "../../../../agent/runtime/in-process-link.ts";
import type { FaultHandle } from "../../../../agent/sim/sim-faults.ts";
import { SimulatedFleet } from "../../../../agent/sim/simulated-fleet.ts";
import type { Clock } from "../../../../kernel/clock/clock.ts";
import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import { Fleet } from "../../../../kernel/fleet/fleet.ts";
import { Membership } from "../../../../kernel/fleet/join.ts";
import { silentLogger } from "../../../../kernel/log/logger.ts";
import type { CallerFactory } from "../../../../kernel/operations/command-caller.ts";
import type { AnyOperation } from "../../../../kernel/operations/definition.ts";
import { OperationRunner } from "../../../../kernel/operations/runner.ts";
import { FINAL_STATES, type OperationRow, type OperationTables } from "../../../../kernel/operations/tables.ts";
import type { FaultWorld } from "../../../../kernel/operations/testing/fault-run.ts";
import { PassingTime } from "../../../../kernel/operations/testing/passing-time.ts";
import type { WorldTools } from "../../../../kernel/operations/testing/world-tools.ts";
import { ensureDefaultNetwork } from "../../../network/seed.ts";
import { listOperations } from "../compute-operations.ts";
import { type Given, given } from "./given.ts";
import { MortalProcess } from "./mortal-process.ts";
import type { OperationHarness } from "./operation-harness.ts";

export const HOSTS = ["a", "b", "c"] as const;
/** Has volumes and runs no guests. */
const STORAGE_HOST = "s";
const BACKEND = "array";
const MAX_ROUNDS = 2000;
/** Short enough for every host to be heard and written down in time. */
const PART_MS = 10_000;

/** Three simulated hosts with a shared store, their agents, and the server's side in between: everything is real but the hypervisor. */
export class OperationWorld implements FaultWorld {
  readonly sim: SimWorld;
  /** The array of the host that has volumes: `withVolumes` makes it. */
  readonly storage: SimStorageWorld;
  /** Volumes that were there before anything happened. */
  readonly givenVolumes = new Set<string>();
  readonly tools: WorldTools;
  readonly harness: OperationHarness;
  readonly definitions: readonly AnyOperation[];
  /** Prepares servers and operations as the API does. */
  readonly given: Given;
  fleet: Fleet;
  readonly agents: SimulatedFleet;
  readonly callers: CallerFactory;
  readonly membership: Membership;
  #process: MortalProcess;
  #runner: OperationRunner | undefined;
  #drained: Promise<void> | undefined;
  readonly #time: PassingTime;
  #runners = 0;
  #crashes: FaultHandle[] = [];
  #hasVolumes = false;
  #wake: (host: string) => void = () => {};

  private constructor(harness: OperationHarness, tools: WorldTools, under: AnyOperation | undefined, skewMs: number) {
    this.harness = harness;
    this.tools = tools;
    const { clock, store, ids } = tools;
    this.definitions = this.#all().filter((one) => one !== under);
    this.sim = new SimWorld({ clock, mode: "manual" });
    this.storage = new SimStorageWorld({ clock, mode: "manual" });
    this.#process = this.#newProcess();
    harness.bind(this.#process);
    this.membership = new Membership(store, clock, ids);
    this.fleet = this.#newFleet();
    this.callers = { caller: (origin) => this.fleet.commands.caller(origin) };
    this.agents = new SimulatedFleet({
      server: { inProcess: this.#server() },
      services: (host, session) =>
        host === STORAGE_HOST
          ? [blockStorageService([{ driver: this.#arrayDriver() }])]
          : [computeService(createSimComputeDriver({ world: this.sim, host }), session.openConsole)],
      clock: skewed(clock, skewMs),
      ids,
      random: () => 0.5,
      log: silentLogger,
    });
    this.#time = new PassingTime(tools, () => !this.agents.quiet);
    for (const { faults } of [this.sim, this.storage]) {
      faults.onCrash((host) => {
        for (const crash of this.#crashes) crash.remove();
        void this.agents.restart(host);
      });
    }
    this.given = given(this);
  }

  /** `under`: the operation that a fault matrix runs by itself. `skewMs`: how far the hosts' clocks are ahead of the server's. */
  static async open(
    harness: OperationHarness,
    tools: WorldTools,
    under?: AnyOperation,
    skewMs = 0,
  ): Promise<OperationWorld> {
    const world = new OperationWorld(harness, tools, under, skewMs);
    for (const name of HOSTS) world.sim.addHost({ name, sharedStorage: "store" });
    await ensureDefaultNetwork(tools.store, harness.networkContext, { projectId: "admin" });
    const tokens = HOSTS.map(async (name) => ({ name, token: await world.membership.createToken(name) }));
    await world.agents.add(await Promise.all(tokens));
    await world.settle();
    return world;
  }

  /** A further host, which has volumes. Once for each world that needs them. */
  async withVolumes(): Promise<void> {
    if (this.#hasVolumes) return;
    this.#hasVolumes = true;
    await this.agents.add([{ name: STORAGE_HOST, token: await this.membership.createToken(STORAGE_HOST) }]);
    await this.settle();
  }

  /** Volumes that are served. */
  get served(): string[] {
    const volumes = [...this.storage.pools()].flatMap((pool) => [...pool.volumes.values()]);
    return volumes.filter((volume) => volume.exported).map((volume) => volume.volumeId);
  }

  /** Lets the simulated hypervisors work; when nothing moves any more, lets time pass. Called at every turn of the event loop. */
  pump(): void {
    this.sim.drain();
    this.storage.works.drain();
    this.#time.turn();
  }

  /** Resolves when only time could change anything. */
  async settle(): Promise<void> {
    await this.#time.settle();
  }

  /** The next command that reaches a driver is carried out, but its agent dies before it can answer, and comes back. */
  async crashAgent(): Promise<void> {
    this.#crashes = [this.sim, this.storage].map(({ faults }) =>
      faults.add({ fault: { type: "crash", when: "after" } }),
    );
  }

  /** Carries out what is due, with a runner of its own, until nothing is. */
  async work(disturb: () => Promise<void> = async () => {}): Promise<void> {
    this.#begin();
    while (this.#drained) {
      await this.tools.store.turn();
      await disturb();
      this.pump();
    }
  }

  /** Carries out what is due until `enough`; what is at work then goes on with the next `work`. */
  async workUntil(enough: () => boolean): Promise<void> {
    this.#begin();
    while (this.#drained && !enough()) {
      await this.tools.store.turn();
      this.pump();
    }
    if (!enough()) throw new Error("everything was done before what was waited for");
  }

  #begin(): void {
    this.#runner ??= this.#newRunner();
    if (this.#drained) return;
    const drained = this.#runner.drain().finally(() => {
      if (this.#drained === drained) this.#drained = undefined;
    });
    this.#drained = drained;
  }

  /** As if the server's process were killed and another one started: nothing is handed over. */
  restartServer(): void {
    this.#process.die();
    this.#process = this.#newProcess();
    this.harness.bind(this.#process);
    this.#runner = undefined;
    this.#drained = undefined;
    this.fleet = this.#newFleet();
    this.fleet.subscribe(this.#wake);
  }

  /** Carries out everything until no operation is under way, or until `until` says so; `disturb` is called at every turn of work. */
  async toTheEnd(
    until: () => Promise<boolean> = async () => false,
    disturb: () => Promise<void> = async () => {},
  ): Promise<void> {
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
      await this.work(disturb);
      if (await until()) return;
      const live = await this.live();
      if (live.length === 0) {
        await this.settle();
        return;
      }
      const next = Math.min(...live.map((row) => row.run_at ?? Number.POSITIVE_INFINITY));
      if (!Number.isFinite(next)) throw new Error(`nothing would wake ${live.map((row) => row.name).join(", ")}`);
      await this.pass(Math.max(0, next - this.tools.clock.now()));
    }
    const live = await this.live();
    throw new Error(`no end: ${live.map((row) => `${row.name} in ${row.step}: ${row.trouble}`).join("; ")}`);
  }

  async live(): Promise<OperationRow[]> {
    const db = this.tools.store.read.tables<OperationTables>();
    return await db.selectFrom("operations").selectAll().where("state", "not in", FINAL_STATES).execute();
  }

  async operation(id: string): Promise<OperationRow> {
    const db = this.tools.store.read.tables<OperationTables>();
    return await db.selectFrom("operations").selectAll().where("id", "=", id).executeTakeFirstOrThrow();
  }

  /** Lets time pass in small parts. The heartbeats of each are written before the next, however slow the database is. */
  async pass(ms: number): Promise<void> {
    await this.fleet.flush();
    for (let left = ms; left > 0; left -= PART_MS) {
      this.tools.clock.advance(Math.min(PART_MS, left));
      await this.settle();
      await this.fleet.flush();
    }
  }

  async close(): Promise<void> {
    this.sim.faults.clear();
    this.storage.faults.clear();
    await this.agents.close();
    await this.fleet.close();
  }

  #all(): AnyOperation[] {
    return [...listOperations(this.harness.operations), ...this.harness.volumes.operations];
  }

  #arrayDriver() {
    const pool = this.storage.addBackend(STORAGE_HOST, { backend: BACKEND });
    return createSimBlockStorageDriver({ world: this.storage, host: STORAGE_HOST, pool });
  }

  #newProcess(): MortalProcess {
    return new MortalProcess(this.tools.store, this.tools.clock);
  }

  #newFleet(): Fleet {
    const { store, clock } = this.#process;
    const { ids } = this.tools;
    const fleet = new Fleet({
      store,
      clock,
      ids,
      log: silentLogger,
      settings: this.harness.deps.fleet,
      zone: "nova",
      listeners: this.harness.listeners,
    });
    fleet.start();
    return fleet;
  }

  #newRunner(): OperationRunner {
    this.#runners += 1;
    const { store, clock } = this.#process;
    return new OperationRunner({
      store,
      clock,
      log: silentLogger,
      callers: this.callers,
      definitions: this.#all(),
      owner: `world-${this.#runners}`,
    });
  }

  #server(): InProcessServer {
    return {
      join: (request) => this.membership.join(request.token, request.host),
      poll: (host, request, signal) => this.#process.asked(this.fleet.poll(host, request, signal)),
      report: (host, request) => this.#process.asked(this.fleet.report(host, request)),
      heartbeat: async (hosts) => this.fleet.heartbeat(hosts),
      subscribe: (wake) => {
        this.#wake = wake;
        this.fleet.subscribe(wake);
        return () => {};
      },
      fetchImage: () => Promise.reject(new CloudError("invalid", "test.no_images", "There are no image files.")),
      openConsole: () => Promise.reject(new CloudError("invalid", "test.no_consoles", "There are no consoles.")),
    };
  }
}

function skewed(clock: Clock, byMs: number): Clock {
  return { now: () => clock.now() + byMs, after: (delayMs, fn) => clock.after(delayMs, fn) };
}
