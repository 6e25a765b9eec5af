import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { access, mkdir, rm, statfs, writeFile } from "node:fs/promises";
import { availableParallelism, totalmem } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  ensureHostNamespace,
  type Fabric,
  hostNetns,
  removeFabric,
  removeHostNamespace,
} from "../../agent/drivers/compute/network/fabric.ts";
import { createQemuDriver } from "../../agent/drivers/compute/qemu/driver.ts";
import { systemClock } from "../../kernel/clock/clock.ts";
import { silentLogger } from "../../kernel/log/logger.ts";

/** One machine that plays several hosts: a folder, an agent process and, as root, a network namespace for each. */
export interface LocalHostsOptions {
  readonly stateDir: string;
  readonly names: readonly string[];
  readonly serverUrl: string;
  readonly caFile: string | null;
  /** Whether hosts get namespaces; without, user-mode networking. */
  readonly namespaces: boolean;
  readonly probeGuest: string | null;
  readonly logLevel: string;
  createToken(host: string): Promise<string>;
  say(line: string): void;
}

const MAIN = fileURLToPath(new URL("./main.ts", import.meta.url));
const RESTART_MS = 1_000;
/** How much of the machine the guests of all local hosts may promise themselves. */
const SHARE_OF_MACHINE = 0.75;

/** Keeps the agents of the local hosts running until `stop`. */
export class LocalHosts {
  readonly #options: LocalHostsOptions;
  readonly #children = new Map<string, ChildProcess>();
  #stopping = false;

  constructor(options: LocalHostsOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    const capacity = await capacityPerHost(this.#options.stateDir, this.#options.names.length);
    for (const [index, name] of this.#options.names.entries()) {
      const netns = this.#options.namespaces ? await this.#ensureNamespace(name, index) : null;
      this.#spawn(name, [...(await this.#arguments(name, netns, index)), ...capacity]);
    }
  }

  /** Ends the agents; guests go on. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all([...this.#children.values()].map(endChild));
  }

  async #ensureNamespace(name: string, index: number): Promise<string> {
    return await ensureHostNamespace(localFabric(this.#options.stateDir), name, addressOf(index));
  }

  async #arguments(name: string, netns: string | null, index: number): Promise<string[]> {
    const { stateDir, serverUrl, probeGuest, caFile } = this.#options;
    const dir = hostDir(stateDir, name);
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const neighbours = Object.fromEntries(
      this.#options.names
        .filter((other) => other !== name)
        .map((other) => [
          other,
          {
            stateDir: hostDir(stateDir, other),
            netns: netns === null ? null : hostNetns(localFabric(stateDir), other),
          },
        ]),
    );
    return [
      ...["agent", "--host", name, "--server", serverUrl, "--state", dir],
      ...["--shared-storage", join(stateDir, "shared-instances"), "--boot-slots", join(stateDir, "boot-slots")],
      ...["--neighbours", JSON.stringify(neighbours), "--log-level", this.#options.logLevel],
      ...(netns === null ? [] : ["--netns", netns, "--fabric-address", addressOf(index)]),
      ...(probeGuest === null ? [] : ["--probe-guest", probeGuest]),
      ...(caFile === null ? [] : ["--ca-file", caFile]),
      ...(await this.#joinToken(name, dir)),
    ];
  }

  /** A token for hosts that have no identity yet, in a file that only we can read. */
  async #joinToken(name: string, dir: string): Promise<string[]> {
    if (await exists(join(dir, "identity.json"))) return [];
    const file = join(dir, "join-token");
    await writeFile(file, await this.#options.createToken(name), { mode: 0o600 });
    return ["--join-token-file", file];
  }

  #spawn(name: string, args: readonly string[]): void {
    const log = createWriteStream(join(hostDir(this.#options.stateDir, name), "agent.log"), {
      flags: "a",
      mode: 0o600,
    });
    const child = spawn(process.execPath, [...process.execArgv, MAIN, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    child.stdout?.pipe(log);
    child.stderr?.pipe(log);
    this.#children.set(name, child);
    child.once("exit", (code) => {
      log.end();
      if (this.#stopping) return;
      this.#options.say(
        `The agent of ${name} ended (${code ?? "by a signal"}); starting it again. See ${hostDir(this.#options.stateDir, name)}/agent.log`,
      );
      systemClock.after(RESTART_MS, () => {
        if (!this.#stopping) this.#spawn(name, args);
      });
    });
  }
}

/** Stops every guest of the local hosts and removes their namespaces. For a cloud whose agents have ended. */
export async function stopWorkloads(stateDir: string, names: readonly string[], namespaces: boolean): Promise<void> {
  for (const [index, name] of names.entries()) {
    const dir = hostDir(stateDir, name);
    if (!(await exists(dir))) continue;
    const fabric = localFabric(stateDir);
    const driver = await createQemuDriver({
      host: name,
      stateDir: dir,
      sharedDir: join(stateDir, "shared-instances"),
      accelerator: "tcg",
      probeGuest: null,
      network: namespaces
        ? { kind: "namespace", netns: hostNetns(fabric, name), fabricAddress: addressOf(index) }
        : { kind: "user" },
      capacity: {},
      fenceTargets: () => undefined,
      bootSlotsDir: null,
      clock: systemClock,
      log: silentLogger,
    });
    const call = {
      key: `stop-workloads/${name}`,
      epoch: 0,
      deadline: new Date(systemClock.now() + STOP_LIMIT_MS),
      signal: AbortSignal.timeout(STOP_LIMIT_MS),
      log: silentLogger,
      progress: () => {},
      image: () => Promise.reject(new Error("stopping needs no image")),
    };
    for await (const guest of driver.list())
      await driver.ensureStopped(guest.serverId, { graceMs: STOP_GRACE_MS }, call);
    await driver.close();
    if (namespaces) await removeHostNamespace(fabric, name);
  }
  if (namespaces) await removeFabric(localFabric(stateDir));
}

const STOP_LIMIT_MS = 120_000;
const STOP_GRACE_MS = 20_000;

/** Removes everything that a cloud on this machine has left in its state folder. */
export async function wipeState(stateDir: string): Promise<void> {
  await rm(stateDir, { recursive: true, force: true });
}

export function hostDir(stateDir: string, name: string): string {
  return join(stateDir, "hosts", name);
}

/** Clouds with different state folders do not meet on the wire. */
function localFabric(stateDir: string): Fabric {
  return { prefix: `pileus-${createHash("sha256").update(stateDir).digest("hex").slice(0, 6)}`, prefixLength: 24 };
}

const addressOf = (index: number): string => `10.77.0.${index + 1}`;

async function capacityPerHost(stateDir: string, hosts: number): Promise<string[]> {
  const disk = await statfs(stateDir);
  const ramMiB = Math.floor((totalmem() * SHARE_OF_MACHINE) / hosts / 2 ** 20);
  const diskGiB = Math.max(1, Math.floor((disk.bavail * disk.bsize * SHARE_OF_MACHINE) / hosts / 2 ** 30));
  return ["--vcpus", String(availableParallelism()), "--ram-mib", String(ramMiB), "--disk-gib", String(diskGiB)];
}

async function endChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.kill("SIGTERM");
  await ended;
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}
