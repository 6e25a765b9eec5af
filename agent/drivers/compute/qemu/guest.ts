import { mkdir } from "node:fs/promises";
import type { Clock } from "../../../../kernel/clock/clock.ts";
import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import { errorFields, type Logger } from "../../../../kernel/log/logger.ts";
import { livePid } from "../../../process/pid-file.ts";
import { Qmp } from "../../../process/qmp.ts";
import type { GuestFacts, GuestPower, GuestSpec } from "../../../protocol/compute.ts";
import { GuestAgent } from "./guest-agent.ts";
import type { GuestFiles } from "./guest-files.ts";
import { type GuestRecord, newRecord, readRecord, writeRecord } from "./guest-record.ts";
import { volumeOf } from "./volume-nodes.ts";

const POWER_OF_STATUS: Record<string, GuestPower> = {
  paused: "paused",
  prelaunch: "paused",
  inmigrate: "incoming",
  postmigrate: "moved",
  shutdown: "stopped",
  "guest-panicked": "crashed",
  "internal-error": "crashed",
  "io-error": "crashed",
};

/** Events after which the guest may not be what it was. */
const TELLING = new Set(["SHUTDOWN", "GUEST_PANICKED", "MIGRATION", "RESUME", "DEVICE_DELETED"]);

/** A monitor answers this at once, or hangs. */
const STATUS_LIMIT_MS = 10_000;

/** One guest on this host: its record on disk, its process if it has one, and the one connection to that process. */
export class Guest {
  readonly id: string;
  readonly files: GuestFiles;
  readonly agent: GuestAgent;
  readonly #clock: Clock;
  readonly #log: Logger;
  /** Called when something happened to the process: an event or its end. */
  readonly #onChange: (guest: Guest) => void;
  #record: GuestRecord | undefined;
  #qmp: Promise<Qmp> | undefined;
  #queue: Promise<unknown> = Promise.resolve();
  #writing: Promise<void> = Promise.resolve();

  constructor(id: string, files: GuestFiles, env: { clock: Clock; log: Logger; onChange: (guest: Guest) => void }) {
    this.id = id;
    this.files = files;
    this.agent = new GuestAgent(files.agent, env.clock);
    this.#clock = env.clock;
    this.#log = env.log.with({ server: id });
    this.#onChange = env.onChange;
  }

  /** Reads the record from disk; false when this host knows nothing of the guest. */
  async load(): Promise<boolean> {
    this.#record ??= await readRecord(this.files.record);
    return this.#record !== undefined;
  }

  /** Throws `compute.guest_not_found`. */
  get record(): GuestRecord {
    if (this.#record) return this.#record;
    throw new CloudError("notFound", "compute.guest_not_found", "The host has no such guest.");
  }

  get spec(): GuestSpec {
    return this.record.spec;
  }

  /** Changes the record; it is on disk when this returns. */
  async update(change: Partial<GuestRecord>): Promise<void> {
    this.#record = { ...this.record, ...change };
    await this.#save();
  }

  /** Takes a new spec into the record, which begins with it when there is none. */
  async adopt(spec: GuestSpec): Promise<void> {
    this.#record = { ...(this.#record ?? newRecord(spec)), spec };
    await this.#save();
  }

  forget(): void {
    this.#record = undefined;
  }

  /** One change of a guest at a time. */
  exclusive<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(work);
    this.#queue = result.catch(() => undefined);
    return result;
  }

  pid(): Promise<number | null> {
    return livePid(this.files.pid, this.files.pid);
  }

  async isAlive(): Promise<boolean> {
    return (await this.pid()) !== null;
  }

  /** Whether events of the process arrive here, or are about to. */
  get isConnected(): boolean {
    return this.#qmp !== undefined;
  }

  /** The connection to the process, opened when needed and then kept. Throws `compute.guest_not_running` without a process. */
  async qmp(openLimitMs?: number): Promise<Qmp> {
    const open = await this.#qmp?.catch(() => undefined);
    if (open && !open.closed) return open;
    if (!(await this.isAlive())) {
      throw new CloudError("conflict", "compute.guest_not_running", "The guest is not running.");
    }
    const opening = Qmp.open(this.files.qmp, this.#clock, openLimitMs);
    this.#qmp = opening;
    const qmp = await opening.catch((error: unknown) => {
      if (this.#qmp === opening) this.#qmp = undefined;
      throw error;
    });
    qmp.onEvent(({ event, data }) => {
      this.#log.debug({ event, data }, "hypervisor event");
      if (TELLING.has(event)) this.#onChange(this);
    });
    qmp.onClose(() => this.#onChange(this));
    return qmp;
  }

  /** Run state of the process as QEMU calls it; null without a process. Throws `qemu.lost`, `qemu.silent`. */
  async status(): Promise<string | null> {
    if (!(await this.isAlive())) return null;
    try {
      const qmp = await this.qmp();
      return (await qmp.execute<{ status: string }>("query-status", {}, STATUS_LIMIT_MS)).status;
    } catch (error) {
      if (!(await this.isAlive())) return null;
      throw error;
    }
  }

  async power(): Promise<GuestPower> {
    const status = await this.status();
    if (status !== null) return POWER_OF_STATUS[status] ?? "running";
    const { moved, intent, incoming } = this.record;
    if (moved) return "moved";
    return intent === "stopped" && incoming === null ? "stopped" : "crashed";
  }

  /** By the record alone, for a process that does not answer. */
  recordedPower(): GuestPower {
    const { moved, intent, incoming } = this.record;
    if (moved) return "moved";
    if (incoming !== null && !incoming.received) return "incoming";
    return intent === "paused" ? "paused" : "running";
  }

  /** Facts of a guest whose process does not answer: what it was last brought to. */
  recordedFacts(): GuestFacts {
    const { spec, started } = this.record;
    return {
      serverId: this.id,
      power: this.recordedPower(),
      vcpus: started?.vcpus ?? spec.vcpus,
      ramMiB: started?.ramMiB ?? spec.ramMiB,
      diskStorage: spec.rootDisk?.storage ?? null,
      portIds: spec.nics.map((nic) => nic.portId),
      volumeIds: spec.volumes.map((volume) => volume.volumeId),
    };
  }

  async facts(): Promise<GuestFacts> {
    const { spec, started } = this.record;
    const power = await this.power();
    const alive = power === "running" || power === "paused";
    return {
      serverId: this.id,
      power,
      vcpus: (alive ? started?.vcpus : undefined) ?? spec.vcpus,
      ramMiB: (alive ? started?.ramMiB : undefined) ?? spec.ramMiB,
      diskStorage: spec.rootDisk?.storage ?? null,
      portIds: alive ? await this.portIds() : spec.nics.map((nic) => nic.portId),
      volumeIds: alive ? await this.volumeIds() : spec.volumes.map((volume) => volume.volumeId),
    };
  }

  /** Ports of the cards that the running guest has now. */
  async portIds(): Promise<string[]> {
    const devices = await this.devices();
    return devices.flatMap((name) => (name.startsWith("card-") ? [name.slice("card-".length)] : []));
  }

  /** Volumes that the running guest has as disks now. */
  async volumeIds(): Promise<string[]> {
    return (await this.devices()).flatMap((name) => volumeOf(name) ?? []);
  }

  /** Whether there is a process with a guest in it that can be given devices. */
  async isUp(): Promise<boolean> {
    const power = await this.power();
    return power === "running" || power === "paused";
  }

  /** Names of the devices that were given one. */
  async devices(): Promise<string[]> {
    const qmp = await this.qmp();
    const children = await qmp.execute<{ name: string; type: string }[]>("qom-list", { path: "/machine/peripheral" });
    return children.filter((child) => child.type.startsWith("child<")).map((child) => child.name);
  }

  /** Lets go of the process, which goes on. */
  async release(): Promise<void> {
    const opening = this.#qmp;
    this.#qmp = undefined;
    const qmp = await opening?.catch((error) => {
      this.#log.debug(errorFields(error), "no connection to release");
      return undefined;
    });
    qmp?.close();
  }

  /** Makes loops that wait for the process look again. */
  async poke(): Promise<void> {
    const qmp = await this.#qmp?.catch(() => undefined);
    qmp?.poke();
  }

  async #save(): Promise<void> {
    const write = this.#writing.then(async () => {
      const record = this.#record;
      if (!record) return;
      await mkdir(this.files.dir, { recursive: true, mode: 0o700 });
      await writeRecord(this.files.record, record);
    });
    this.#writing = write.catch(() => undefined);
    await write;
  }
}
