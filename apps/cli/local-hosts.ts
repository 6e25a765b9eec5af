import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { access, mkdir, statfs, writeFile } from "node:fs/promises";
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
import { livePid } from "../../agent/process/pid-file.ts";
import { killForCertain } from "../../agent/process/running-process.ts";
import { systemClock } from "../../kernel/clock/clock.ts";
import { CloudError } from "../../kernel/errors/cloud-error.ts";
import { silentLogger } from "../../kernel/log/logger.ts";
import { LogFile } from "../log-file.ts";
import { withoutSecrets } from "../secret-environment.ts";
import { lockState } from "../state-lock.ts";
import { stopServingVolumes, volumeFlags } from "./local-volumes.ts";

/** One machine that plays several hosts: a folder, an agent process and, as root, a network namespace for each. */
export interface LocalHostsOptions {
  readonly stateDir: string;
  readonly names: readonly string[];
  readonly serverUrl: string;
  readonly caFile: string | null;
  /** Whether hosts get namespaces; without, user-mode networking. */
  readonly namespaces: boolean;
  /** The wire between them; one of its own for each state folder when absent. */
  readonly fabric?: Fabric;
  readonly probeGuest: string | null;
  readonly logLevel: string;
  createToken(host: string): Promise<string>;
  say(line: string): void;
}

/** The `pileus` program. */
export const MAIN = fileURLToPath(new URL("./main.ts", import.meta.url));
/** Pause before an ended agent is started again: doubled each time that it ends before it has lived for a while. */
const RESTART_MS = 1_000;
const LONGEST_RESTART_MS = 30_000;
const LIVED_MS = 60_000;
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
    for (const name of this.#options.names) this.#spawn(name, await prepareLocalHost(this.#options, name));
  }

  /** Ends the agents; guests go on. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all([...this.#children.values()].map(endChild));
  }

  #spawn(name: string, args: readonly string[], pauseMs = RESTART_MS): void {
    const logFile = join(hostDir(this.#options.stateDir, name), "agent.log");
    const log = new LogFile(logFile);
    // Its input ends with this process, however that ends: an agent left behind would serve its host beside the next one.
    const child = spawn(process.execPath, [...process.execArgv, MAIN, ...args, "--exit-with-parent"], {
      stdio: ["pipe", "pipe", "pipe"],
      env: withoutSecrets(process.env),
    });
    for (const output of [child.stdout, child.stderr]) output?.on("data", (text: Buffer) => log.write(text));
    child.once("close", () => log.close());
    this.#children.set(name, child);
    const startedAt = systemClock.now();
    child.once("exit", (code, signal) => {
      if (this.#stopping) return;
      const pause = systemClock.now() - startedAt > LIVED_MS ? RESTART_MS : pauseMs;
      const how = signal === null ? `with code ${code}` : `by ${signal}`;
      this.#options.say(`The agent of ${name} ended ${how}; it starts again in ${pause / 1000} s. See ${logFile}`);
      systemClock.after(pause, () => {
        if (!this.#stopping) this.#spawn(name, args, Math.min(2 * pause, LONGEST_RESTART_MS));
      });
    });
  }
}

/** Makes what one of the local hosts needs; returns the arguments of `pileus` that start its agent. */
export async function prepareLocalHost(options: LocalHostsOptions, name: string): Promise<string[]> {
  const { stateDir, names, serverUrl, probeGuest, caFile } = options;
  const fabric = options.fabric ?? localFabric(stateDir);
  const address = addressOf(names.indexOf(name));
  const netns = options.namespaces ? await ensureHostNamespace(fabric, name, address) : null;
  const dir = hostDir(stateDir, name);
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const neighbours = Object.fromEntries(
    names
      .filter((other) => other !== name)
      .map((other) => [
        other,
        { stateDir: hostDir(stateDir, other), netns: netns === null ? null : hostNetns(fabric, other) },
      ]),
  );
  return [
    ...["agent", "--host", name, "--server", serverUrl, "--state", dir],
    ...["--shared-storage", join(stateDir, "shared-instances"), "--boot-slots", join(stateDir, "boot-slots")],
    ...["--neighbours", JSON.stringify(neighbours), "--log-level", options.logLevel],
    ...(netns === null ? [] : ["--netns", netns, "--fabric-address", address]),
    ...(probeGuest === null ? [] : ["--probe-guest", probeGuest]),
    ...(caFile === null ? [] : ["--ca-file", caFile]),
    ...(await joinToken(options, name, dir)),
    ...(await capacityPerHost(stateDir, names.length)),
    ...(await volumeFlags(stateDir)),
  ];
}

/** A token for hosts that have no identity yet, in a file that only we can read. */
async function joinToken(options: LocalHostsOptions, name: string, dir: string): Promise<string[]> {
  if (await exists(join(dir, "identity.json"))) return [];
  const file = join(dir, "join-token");
  await writeFile(file, await options.createToken(name), { mode: 0o600 });
  return ["--join-token-file", file];
}

/** Stops every guest of the local hosts and what serves their volumes, and removes their namespaces. For a cloud whose agents have ended. */
export async function stopWorkloads(
  stateDir: string,
  names: readonly string[],
  namespaces: boolean,
  { fabric = localFabric(stateDir), graceMs = STOP_GRACE_MS }: { fabric?: Fabric; graceMs?: number } = {},
): Promise<void> {
  for (const [index, name] of names.entries()) {
    const dir = hostDir(stateDir, name);
    if (!(await exists(dir))) continue;
    const unlock = await lockState(dir);
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
    for await (const guest of driver.list()) {
      // One that is on its way between two hosts is not stopped in good order, but it ends all the same.
      await unlessMoved(driver.ensureStopped(guest.serverId, { graceMs }, call));
      await endProcesses(join(dir, "guests", guest.serverId));
    }
    await driver.close();
    await unlock();
    if (namespaces) await removeHostNamespace(fabric, name);
  }
  if (namespaces) await removeFabric(fabric);
  await stopServingVolumes(stateDir);
}

async function unlessMoved(stopping: Promise<unknown>): Promise<void> {
  await stopping.catch((error: unknown) => {
    if (!(error instanceof CloudError) || error.code !== "compute.guest_moved") throw error;
  });
}

/** What is left of a guest's processes: the one at either end of a migration, the one that serves its disk. */
async function endProcesses(guestDir: string): Promise<void> {
  for (const name of ["qemu.pid", "export.pid"]) {
    const file = join(guestDir, name);
    const pid = await livePid(file, file);
    if (pid !== null) await killForCertain(pid, systemClock);
  }
}

const STOP_LIMIT_MS = 120_000;
const STOP_GRACE_MS = 20_000;

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
