import { setImmediate } from "node:timers/promises";
import { createSimBlockStorageDriver } from "../../../../agent/drivers/block-storage/sim/sim-block-storage-driver.ts";
import type { SimPool, SimPoolOptions } from "../../../../agent/drivers/block-storage/sim/sim-pool.ts";
import { SimStorageWorld } from "../../../../agent/drivers/block-storage/sim/sim-storage-world.ts";
import { blockStorageService } from "../../../../agent/runtime/block-storage-service.ts";
import type { InProcessServer } from "../../../../agent/runtime/in-process-link.ts";
import { SimulatedFleet } from "../../../../agent/sim/simulated-fleet.ts";
import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import { Fleet } from "../../../../kernel/fleet/fleet.ts";
import { Membership } from "../../../../kernel/fleet/join.ts";
import { PROJECT } from "../../../../kernel/http/testing/people-api.ts";
import { silentLogger } from "../../../../kernel/log/logger.ts";
import { OperationRunner } from "../../../../kernel/operations/runner.ts";
import { FINAL_STATES, type OperationRow, type OperationTables } from "../../../../kernel/operations/tables.ts";
import type { Migration } from "../../../../kernel/store/migrate.ts";
import type { TestStore } from "../../../../kernel/store/testing/stores.ts";
import { blockStorageListener } from "../../reconcile/agent-news.ts";
import { type BlockStorageWorld, blockStorageWorld } from "../../testing/block-storage-world.ts";
import { listOperations } from "../block-storage-operations.ts";

/** Backends of the hosts, by host. */
export type Layout = Readonly<Record<string, SimPoolOptions>>;

/** Turns of the event loop without anything to do for an agent after which only time can help. */
const CALM_TURNS = { sqlite: 40, postgres: 400 } as const;
const MAX_ROUNDS = 2_000;
/** Short enough for every host to be heard and written down in time. */
const PART_MS = 10_000;

/** The API of Block Storage, its operations, and simulated hosts with the agents that real ones run: everything is real but the arrays. */
export class StorageFleetWorld {
  readonly api: BlockStorageWorld;
  readonly storage: SimStorageWorld;
  readonly agents: SimulatedFleet;
  readonly pools: ReadonlyMap<string, SimPool>;
  readonly #fleet: Fleet;
  readonly #runner: OperationRunner;
  readonly #membership: Membership;
  #drained: Promise<void> | undefined;
  #calm = 0;

  private constructor(api: BlockStorageWorld, layout: Layout) {
    this.api = api;
    const { store, clock, ids, deps } = api;
    this.storage = new SimStorageWorld({ clock, mode: "manual" });
    this.pools = new Map(Object.entries(layout).map(([host, pool]) => [host, this.storage.addBackend(host, pool)]));
    this.#membership = new Membership(store, clock, ids);
    const kept = { store, clock, ids, log: silentLogger, settings: deps.fleet, zone: "nova" };
    this.#fleet = new Fleet({ ...kept, listeners: [blockStorageListener(deps)] });
    this.#fleet.start();
    this.agents = new SimulatedFleet({
      server: { inProcess: this.#server() },
      services: (host) => [blockStorageService([{ driver: this.#driver(host) }])],
      clock,
      ids,
      random: () => 0.5,
      log: silentLogger,
    });
    this.storage.faults.onCrash((host) => void this.agents.restart(host));
    const callers = this.#fleet.commands;
    const definitions = listOperations(deps.operations);
    this.#runner = new OperationRunner({ store, clock, log: silentLogger, callers, definitions, owner: "world" });
  }

  static async open(open: (migrations: readonly Migration[]) => Promise<TestStore>, layout: Layout) {
    const world = new StorageFleetWorld(await blockStorageWorld(open), layout);
    const tokens = Object.keys(layout).map(async (name) => ({
      name,
      token: await world.#membership.createToken(name),
    }));
    await world.agents.add(await Promise.all(tokens));
    await world.agents.settle();
    const unlimited = { volumes: -1, snapshots: -1, gigabytes: -1 };
    await world.must("PUT", `/os-quota-sets/${PROJECT}`, { quota_set: unlimited });
    return world;
  }

  /** An administrator's request that is answered with a 2xx. */
  async must<T>(method: string, path: string, body?: unknown): Promise<T> {
    const answer = await this.ask(method, path, body);
    if (answer.status < 300) return answer.body as T;
    throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  }

  async ask(method: string, path: string, body?: unknown) {
    return await this.api.ask("admin", method, path, { version: "3.71", ...(body === undefined ? {} : { body }) });
  }

  /** Some turns of work: what is due goes on, and perhaps not to its end. */
  async turns(count: number, disturb: () => Promise<void> = async () => {}): Promise<void> {
    this.#begin();
    for (let turn = 0; turn < count && this.#drained; turn += 1) await this.#turn(disturb);
  }

  /** Carries out everything until no operation is under way; `disturb` is called at every turn. Throws when one is stuck. */
  async toTheEnd(disturb: () => Promise<void> = async () => {}): Promise<void> {
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
      this.#begin();
      while (this.#drained) await this.#turn(disturb);
      const live = await this.live();
      if (live.length === 0) {
        await this.agents.settle();
        return;
      }
      const stuck = live.find(({ state }) => state === "stuck");
      if (stuck) throw new Error(`${stuck.name} is stuck in ${stuck.step}: ${stuck.trouble}`);
      const next = Math.min(...live.map((row) => row.run_at ?? Number.POSITIVE_INFINITY));
      if (!Number.isFinite(next)) throw new Error(`nothing would wake ${live.map((row) => row.name).join(", ")}`);
      await this.pass(Math.max(0, next - this.api.clock.now()));
    }
    const live = await this.live();
    throw new Error(`no end: ${live.map(({ name, step, trouble }) => `${name} in ${step}: ${trouble}`).join("; ")}`);
  }

  async live(): Promise<OperationRow[]> {
    const db = this.api.store.read.tables<OperationTables>();
    return await db.selectFrom("operations").selectAll().where("state", "not in", FINAL_STATES).execute();
  }

  /** Lets time pass in small parts, so that heartbeats are sent and written. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= PART_MS) {
      this.api.clock.advance(Math.min(PART_MS, left));
      await this.agents.settle();
    }
  }

  async close(): Promise<void> {
    this.storage.faults.clear();
    await this.agents.close();
    await this.#fleet.close();
    await this.api.close();
  }

  #begin(): void {
    if (this.#drained) return;
    const drained = this.#runner.drain().finally(() => {
      if (this.#drained === drained) this.#drained = undefined;
    });
    this.#drained = drained;
  }

  /** When nothing moves any more, lets time pass. */
  async #turn(disturb: () => Promise<void>): Promise<void> {
    await setImmediate();
    await disturb();
    this.#calm = this.agents.quiet ? this.#calm + 1 : 0;
    if (this.#calm <= CALM_TURNS[this.api.store.dialect]) return;
    this.#calm = 0;
    this.api.clock.advance(500);
  }

  #driver(host: string) {
    const pool = this.pools.get(host);
    if (!pool) throw new Error(`no backend on ${host}`);
    return createSimBlockStorageDriver({ world: this.storage, host, pool });
  }

  #server(): InProcessServer {
    const no = () => Promise.reject(new CloudError("invalid", "test.not_there", "There is no such thing here."));
    return {
      join: (request) => this.#membership.join(request.token, request.host),
      poll: (host, request, signal) => this.#fleet.poll(host, request, signal),
      report: (host, request) => this.#fleet.report(host, request),
      heartbeat: async (hosts) => this.#fleet.heartbeat(hosts),
      subscribe: (wake) => {
        this.#fleet.subscribe(wake);
        return () => {};
      },
      fetchImage: no,
      openConsole: no,
    };
  }
}
