import assert from "node:assert/strict";
import { sleep, systemClock } from "../../kernel/clock/clock.ts";
import { CloudError } from "../../kernel/errors/cloud-error.ts";
import { silentLogger } from "../../kernel/log/logger.ts";
import type { ComputeDriver } from "../drivers/compute/driver.ts";
import type { DiskStorage, GuestFacts, GuestSpec } from "../protocol/compute.ts";
import type { Call } from "../runtime/call.ts";
import type { VolumeTools } from "./compute-volumes.ts";

/** One host of the environment. */
export interface ConformanceHost {
  readonly name: string;
  /** The driver instance in charge now. */
  readonly driver: ComputeDriver;
  /** Closes the instance and makes a new one over the same state, as an agent restart does; guests must not notice. */
  restart(): Promise<void>;
}

/** What a driver's test supplies: hosts that reach each other, guests that boot there, and a look at what is left. */
export interface ComputeEnvironment {
  /** At least two, with equal abilities. */
  readonly hosts: readonly ConformanceHost[];
  /** A new server's spec, with one card (`nics` cards) and an image that `image` knows. */
  spec(options?: { storage?: DiskStorage; nics?: number }): GuestSpec;
  /** The agent's image cache: path of the image's file. */
  image: Call["image"];
  /** How often the guest booted, by its console log. */
  boots(consoleLog: string): number;
  /** Ends the guest's process on that host as `kill -9` would. */
  crash(host: string, serverId: string): Promise<void>;
  /** Everything of ours that exists on any host, in words: processes, disks, cards, listeners. Empty on a clean slate. */
  leftovers(): Promise<string[]>;
  readonly volumes: VolumeTools;
  /** Most that any single wait may take; generous, since nothing waits longer than it must. */
  readonly limitMs: number;
  /** Removes the environment with everything in it. */
  dispose(): Promise<void>;
}

export interface TestCall extends Call {
  /** Percent values reported so far. */
  readonly reported: number[];
}

/** One case's view of an environment: its own servers, waits by condition, calls. */
export class CaseContext {
  readonly env: ComputeEnvironment;
  readonly a: ConformanceHost;
  readonly b: ConformanceHost;
  readonly #specs: GuestSpec[] = [];
  #keys = 0;

  constructor(env: ComputeEnvironment) {
    const [a, b] = env.hosts;
    assert.ok(a && b, "the environment must have two hosts");
    this.env = env;
    this.a = a;
    this.b = b;
  }

  get volumes(): VolumeTools {
    return this.env.volumes;
  }

  /** A spec that the case's clean-up knows of. */
  spec(options?: { storage?: DiskStorage; nics?: number }): GuestSpec {
    const spec = this.env.spec(options);
    this.#specs.push(spec);
    return spec;
  }

  /** A call with a key of its own unless one is given. */
  call(key?: string): TestCall {
    this.#keys += 1;
    const reported: number[] = [];
    return {
      key: key ?? `conformance/${this.#keys}`,
      epoch: 1,
      deadline: new Date(systemClock.now() + this.env.limitMs),
      signal: AbortSignal.timeout(this.env.limitMs),
      log: silentLogger,
      progress: (percent) => void reported.push(percent),
      image: this.env.image,
      reported,
    };
  }

  async running(host: ConformanceHost, options?: { storage?: DiskStorage; nics?: number }): Promise<GuestSpec> {
    const spec = this.spec(options);
    await host.driver.ensure(spec, "running", this.call());
    return spec;
  }

  async powerOf(host: ConformanceHost, spec: GuestSpec): Promise<GuestFacts["power"] | undefined> {
    return (await host.driver.inspect(spec.serverId))?.power;
  }

  async expectPower(host: ConformanceHost, spec: GuestSpec, power: GuestFacts["power"]): Promise<void> {
    assert.equal(await this.powerOf(host, spec), power, `power on ${host.name}`);
  }

  /** Waits until `look` gives something; `unavailable` counts as not yet. */
  async until<T>(what: string, look: () => Promise<T | undefined | false>): Promise<T> {
    const limit = systemClock.now() + this.env.limitMs;
    for (;;) {
      const found = await look().catch((error: unknown) => {
        if (error instanceof CloudError && error.kind === "unavailable") return undefined;
        throw error;
      });
      if (found !== undefined && found !== false) return found;
      assert.ok(systemClock.now() < limit, `${what}: not within ${this.env.limitMs} ms`);
      await sleep(systemClock, 20);
    }
  }

  /** Waits for a tick above `above` on the guest's console; returns it. */
  tickAbove(host: ConformanceHost, spec: GuestSpec, above: number): Promise<number> {
    return this.until(`a tick above ${above} on ${host.name}`, async () => {
      const ticks = [...(await host.driver.consoleLog(spec.serverId, 200)).matchAll(/tick (\d+)/g)];
      const last = Number(ticks.at(-1)?.[1] ?? -1);
      return last > above && last;
    });
  }

  async listed(host: ConformanceHost): Promise<GuestFacts[]> {
    return await Array.fromAsync(host.driver.list());
  }

  /** Removes the case's servers everywhere and demands that nothing is left. Disks go last: a shared one belongs to all. */
  async cleanUp(): Promise<void> {
    for (const disks of [false, true]) {
      for (const { serverId } of this.#specs) {
        for (const host of this.env.hosts) await host.driver.ensureAbsent(serverId, { disks }, this.call());
      }
    }
    assert.deepEqual(await this.env.leftovers(), []);
  }
}

/** Asserts that `work` fails with this kind and code. */
export async function rejectsWith(work: Promise<unknown>, kind: string, code: string): Promise<void> {
  await assert.rejects(work, (error: unknown) => {
    assert.ok(error instanceof CloudError, `expected ${code}, got ${String(error)}`);
    assert.deepEqual({ kind: error.kind, code: error.code }, { kind, code });
    return true;
  });
}
