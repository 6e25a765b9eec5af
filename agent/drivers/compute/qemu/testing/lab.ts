import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { sleep, systemClock } from "../../../../../kernel/clock/clock.ts";
import { systemIds } from "../../../../../kernel/ids/ids.ts";
import { silentLogger } from "../../../../../kernel/log/logger.ts";
import { ensureGuestImage, type GuestImage } from "../../../../guest-image/ensure-guest-image.ts";
import { livePid } from "../../../../process/pid-file.ts";
import { tryCommand } from "../../../../process/run-command.ts";
import { killForCertain } from "../../../../process/running-process.ts";
import type { GuestSpec, ImageSource, Nic } from "../../../../protocol/compute.ts";
import type { Call } from "../../../../runtime/call.ts";
import type { ComputeDriver } from "../../driver.ts";
import {
  ensureHostNamespace,
  hostNetns,
  removeFabric,
  removeHostNamespace,
  whyNoNamespaces,
} from "../../network/fabric.ts";
import { createQemuDriver } from "../driver.ts";
import { GuestAgent } from "../guest-agent.ts";
import type { QemuDriverOptions } from "../options.ts";

/** A built guest image is worth keeping between test runs. */
export const IMAGE_CACHE = fileURLToPath(new URL("../../../../../node_modules/.cache/pileus-guest", import.meta.url));

/** Why the real driver cannot be tried here, or null. */
export async function whyNoQemu(): Promise<string | null> {
  for (const tool of ["qemu-system-x86_64", "qemu-img", "qemu-nbd", "mkfs.vfat", "mcopy", "mke2fs"]) {
    const found = await tryCommand(tool, ["--version"]).catch(() => undefined);
    if (found === undefined) return `${tool} is not installed`;
  }
  return null;
}

export async function whyNoHosts(): Promise<string | null> {
  return (await whyNoQemu()) ?? (await whyNoNamespaces());
}

/** Two hosts of one machine with real drivers, an image and a shared instance store. `close` leaves nothing behind. */
export class Lab {
  readonly dir: string;
  readonly image: GuestImage;
  readonly drivers = new Map<string, ComputeDriver>();
  readonly #fabric = { prefix: `lab${process.pid}`, prefixLength: 24 };
  readonly #kind: "namespace" | "user";
  readonly #sources = new Map<string, string>();
  #macs = 0;
  #calls = 0;

  private constructor(dir: string, image: GuestImage, kind: "namespace" | "user") {
    this.dir = dir;
    this.image = image;
    this.#kind = kind;
  }

  static async open(kind: "namespace" | "user", hosts: readonly string[]): Promise<Lab> {
    const image = await ensureGuestImage(IMAGE_CACHE);
    const lab = new Lab(await mkdtemp(join(tmpdir(), "lab-")), image, kind);
    for (const host of hosts) await lab.startDriver(host);
    return lab;
  }

  /** Starts the host's driver, in place of one that was closed. */
  async startDriver(host: string): Promise<ComputeDriver> {
    const driver = await createQemuDriver(await this.#options(host));
    this.drivers.set(host, driver);
    return driver;
  }

  driver(host: string): ComputeDriver {
    return this.drivers.get(host) ?? assert.fail(`no driver for ${host}`);
  }

  agent(host: string, serverId: string): GuestAgent {
    return new GuestAgent(join(this.stateDir(host), "guests", serverId, "agent.sock"), systemClock);
  }

  stateDir(host: string): string {
    return join(this.dir, host);
  }

  pid(host: string, serverId: string): Promise<number | null> {
    const file = join(this.stateDir(host), "guests", serverId, "qemu.pid");
    return livePid(file, file);
  }

  /** A command as the agent would hand it to a driver; `report` sees its progress. */
  call(key?: string, report: (percent: number, detail?: Record<string, unknown>) => void = () => {}): Call {
    this.#calls += 1;
    return {
      key: key ?? `call-${this.#calls}`,
      epoch: 1,
      deadline: new Date(systemClock.now() + 120_000),
      signal: AbortSignal.timeout(120_000),
      log: silentLogger,
      progress: report,
      image: async ({ imageId }) => this.#sources.get(imageId) ?? assert.fail(`no image ${imageId}`),
    };
  }

  async spec(storage: "local" | "shared", changes: Partial<GuestSpec> = {}): Promise<GuestSpec> {
    return {
      ...this.identity(),
      vcpus: 1,
      ramMiB: 128,
      volumes: [],
      rootDisk: { sizeGiB: 1, storage, image: await this.#source(this.image.root, "qcow2") },
      kernel: await this.#source(this.image.kernel, "aki"),
      ramdisk: await this.#source(this.image.ramdisk, "ari"),
      nics: [],
      metadata: { colour: "blue" },
      userData: null,
      publicKeys: [],
      ...changes,
    };
  }

  /** What tells one guest from another. */
  identity(): Pick<GuestSpec, "serverId" | "instanceName" | "hostname"> {
    const serverId = systemIds.uuid();
    const short = serverId.slice(0, 8);
    return { serverId, instanceName: `instance-${short}`, hostname: `vm-${short}` };
  }

  netns(host: string): string {
    return hostNetns(this.#fabric, host);
  }

  nic(address: string): Nic {
    this.#macs += 1;
    return {
      portId: systemIds.uuid(),
      mac: `52:54:00:00:00:${this.#macs.toString(16).padStart(2, "0")}`,
      networkId: systemIds.uuid(),
      segment: 4242,
      mtu: 1450,
      fixedIps: [{ address, prefix: 24, gateway: address.replace(/\d+$/, "1") }],
      dnsServers: ["192.0.2.53"],
    };
  }

  /** All of the guest's serial console on that host. */
  console(host: string, serverId: string): Promise<string> {
    return readFile(join(this.stateDir(host), "guests", serverId, "serial.log"), "utf8").catch(() => "");
  }

  async ticks(host: string, serverId: string): Promise<number[]> {
    return ticksOf(await this.console(host, serverId));
  }

  /** Waits for a condition with a limit. A guest that is emulated on a busy machine takes its time. */
  async until(what: string, condition: () => Promise<boolean>, limitMs = 180_000): Promise<void> {
    const until = systemClock.now() + limitMs;
    while (!(await condition())) {
      if (systemClock.now() > until) assert.fail(`waited in vain until ${what}`);
      await sleep(systemClock, 50);
    }
  }

  async close(): Promise<void> {
    for (const [host, driver] of this.drivers) {
      await driver.close();
      for (const name of await readdir(join(this.stateDir(host), "guests"))) {
        for (const file of ["qemu.pid", "export.pid"]) {
          const path = join(this.stateDir(host), "guests", name, file);
          const pid = await livePid(path, path);
          if (pid !== null) await killForCertain(pid, systemClock);
        }
      }
      if (this.#kind === "namespace") await removeHostNamespace(this.#fabric, host);
    }
    if (this.#kind === "namespace") await removeFabric(this.#fabric);
    await rm(this.dir, { recursive: true, force: true });
  }

  async #source(path: string, format: ImageSource["format"]): Promise<ImageSource> {
    const sha256 = createHash("sha256").update(path).digest("hex");
    const imageId = `${sha256.slice(0, 8)}-0000-4000-8000-${sha256.slice(8, 20)}`;
    this.#sources.set(imageId, path);
    return { imageId, format, sizeBytes: (await stat(path)).size, sha256 };
  }

  async #options(host: string): Promise<QemuDriverOptions> {
    const hosts = [...this.drivers.keys()];
    const index = hosts.includes(host) ? hosts.indexOf(host) : hosts.length;
    const fabricAddress = `10.78.0.${index + 1}`;
    const network =
      this.#kind === "user"
        ? ({ kind: "user" } as const)
        : {
            kind: "namespace" as const,
            netns: await ensureHostNamespace(this.#fabric, host, fabricAddress),
            fabricAddress,
          };
    return {
      host,
      stateDir: this.stateDir(host),
      sharedDir: join(this.dir, "shared"),
      accelerator: "tcg",
      probeGuest: null,
      network,
      capacity: { vcpus: 4, ramMiB: 2048 },
      fenceTargets: (name) => (this.drivers.has(name) ? { stateDir: this.stateDir(name), netns: null } : undefined),
      bootSlotsDir: join(this.dir, "boot-slots"),
      clock: systemClock,
      log: silentLogger,
    };
  }
}

/** Numbers of all complete ticks. */
export function ticksOf(console: string): number[] {
  return [...console.matchAll(/tick (\d+) up=/g)].map((match) => Number(match[1]));
}

/** Fails unless the second console goes on where the first one ended, in the middle of a line perhaps: no tick missing, none twice. */
export function assertNoTickLost(before: string, after: string): void {
  const ticks = ticksOf(before + after);
  const first = ticks[0] ?? assert.fail("no ticks");
  assert.deepEqual(
    ticks,
    ticks.map((_, index) => first + index),
  );
}
