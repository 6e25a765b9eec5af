import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { stringify } from "yaml";
import { setHostLink } from "../../../agent/drivers/compute/network/fabric.ts";
import { IMAGE_CACHE, whyNoHosts } from "../../../agent/drivers/compute/qemu/testing/lab.ts";
import { ensureGuestImage } from "../../../agent/guest-image/ensure-guest-image.ts";
import { readConfigFile } from "../../../apps/cli/config-file.ts";
import {
  hostDir,
  type LocalHostsOptions,
  MAIN,
  prepareLocalHost,
  stopWorkloads,
} from "../../../apps/cli/local-hosts.ts";
import { startServer } from "../../../apps/server/program.ts";
import { testSettings } from "../../../apps/server/testing/test-settings.ts";
import { sleep, systemClock } from "../../../kernel/clock/clock.ts";
import { CloudUser } from "./cloud-user.ts";
import { ComputeApi } from "./compute-api.ts";
import { type ClientHost, clientsMissing, startClientHost } from "./official-clients.ts";
import { HostSight } from "./real-guest.ts";

/** What `--config` takes; times in seconds. */
export interface CloudConfig {
  readonly compute?: Readonly<Record<string, unknown>>;
  readonly fleet?: Readonly<Record<string, unknown>>;
}

const HOSTS = ["host-1", "host-2", "host-3"] as const;
const PASSWORD = "real-cloud-password";
const START_LIMIT_MS = 90_000;
const STEP_MS = 50;
/** A beat each second. On a busy machine many are late, and a host that counts as down is asked for nothing. */
const FLEET = { report_interval: 1, service_down_time: 15 };
const MICROVERSION = "2.92";

/** For the `skip` of a test: why this machine cannot run a real cloud, or false. */
export async function whyNoRealCloud(): Promise<string | false> {
  return (await whyNoHosts()) ?? clientsMissing;
}

/**
 * A cloud of three hosts in network namespaces of this machine. The server and each agent are processes of their own, which
 * tests may kill and start again.
 */
export class RealCloud {
  readonly stateDir: string;
  readonly hosts: readonly string[] = HOSTS;
  readonly api: ComputeApi;
  readonly #address: string;
  readonly #clients: ClientHost;
  #admin: CloudUser | null = null;
  readonly #options: LocalHostsOptions;
  readonly #children = new Map<string, ChildProcess>();
  /** When each process was started last. */
  readonly #started = new Map<string, number>();

  private constructor(address: string, options: LocalHostsOptions, clients: ClientHost) {
    this.stateDir = options.stateDir;
    this.#address = address;
    this.#options = options;
    this.#clients = clients;
    this.api = new ComputeApi({ address, username: "admin", password: PASSWORD, microversion: MICROVERSION });
  }

  static async start(config: CloudConfig = {}): Promise<RealCloud> {
    const stateDir = await mkdtemp(join(tmpdir(), "plt-real-"));
    const { address, tokens, probeGuest } = await found(stateDir, config);
    const options: LocalHostsOptions = {
      stateDir,
      names: HOSTS,
      serverUrl: address,
      caFile: null,
      namespaces: true,
      fabric: { prefix: `plt${process.pid}`, prefixLength: 24 },
      probeGuest,
      logLevel: "info",
      createToken: async (host) => tokens.get(host) ?? "",
      say: () => undefined,
    };
    const cloud = new RealCloud(address, options, await startClientHost());
    try {
      await cloud.startServer(config);
      await cloud.#logIn();
      for (const host of HOSTS) await cloud.startAgent(host);
      for (const host of HOSTS) await cloud.untilUp(host);
      return cloud;
    } catch (error) {
      await cloud.dispose();
      throw error;
    }
  }

  /** The administrator, with the official clients. */
  get admin(): CloudUser {
    if (this.#admin) return this.#admin;
    throw new Error("nobody has logged in");
  }

  /** What the host of that name really has. */
  sight(host: string): HostSight {
    const prefix = this.#options.fabric?.prefix ?? "";
    return new HostSight(hostDir(this.stateDir, host), `${prefix}-host-${host}`);
  }

  /** Starts the server process, with another configuration perhaps, and waits until it answers. */
  async startServer(config: CloudConfig = {}): Promise<void> {
    const file = await writeConfig(this.stateDir, config);
    const listen = ["--listen", new URL(this.#address).host];
    this.#spawn("server", ["server", "--state", this.stateDir, ...listen, "--config", file]);
    await until("the server answers", START_LIMIT_MS, async () => {
      const answer = await fetch(`${this.#address}/healthz`).catch(() => undefined);
      return answer?.ok === true;
    });
  }

  /** Kills the server process and starts it again; returns when it has heard every host. */
  async restartServer(config: CloudConfig = {}): Promise<void> {
    await this.kill("server");
    await this.startServer(config);
    for (const host of HOSTS) await this.untilUp(host);
  }

  async startAgent(host: string): Promise<void> {
    this.#spawn(host, await prepareLocalHost(this.#options, host));
  }

  /** `kill -9`; returns when the process is gone. */
  async kill(which: string): Promise<void> {
    await this.#end(which, "SIGKILL");
  }

  /** Waits until the server has heard the host's agent since both of them were started last. */
  async untilUp(host: string): Promise<void> {
    const since = Math.max(...["server", host].map((name) => this.#started.get(name) ?? 0));
    await until(`${host} is up`, START_LIMIT_MS, async () => {
      const [service] = await this.api.services(host);
      return service?.state === "up" && Date.parse(`${service.updated_at}Z`) > since;
    });
  }

  async untilDown(host: string): Promise<void> {
    await until(`${host} is down`, START_LIMIT_MS, async () => (await this.api.services(host))[0]?.state === "down");
  }

  /** Pulls or plugs the cable between the host and the others. */
  async setLink(host: string, state: "up" | "down"): Promise<void> {
    const { fabric } = this.#options;
    if (fabric) await setHostLink(fabric, host, state);
  }

  /** Stops guests, agents and the server; nothing of the cloud stays. */
  async dispose(): Promise<void> {
    const { fabric } = this.#options;
    for (const host of HOSTS) await this.#end(host, "SIGTERM");
    await stopWorkloads(this.stateDir, HOSTS, true, { ...(fabric ? { fabric } : {}), graceMs: 0 });
    await this.#end("server", "SIGTERM");
    await this.#clients.dispose();
    await rm(this.stateDir, { recursive: true, force: true });
  }

  async #logIn(): Promise<void> {
    const cloudsFile = join(this.stateDir, "clients.yaml");
    const auth = {
      ...{ auth_url: `${this.#address}/identity/v3`, username: "admin", password: PASSWORD, project_name: "admin" },
      ...{ user_domain_name: "Default", project_domain_name: "Default" },
    };
    const clouds = { admin: { auth, region_name: "RegionOne", identity_api_version: "3" } };
    await writeFile(cloudsFile, stringify({ clouds }), { mode: 0o600 });
    this.#admin = await CloudUser.login({
      ...{ address: this.#address, cloudsFile, clients: this.#clients },
      ...{ name: "admin", password: PASSWORD, project: "admin" },
    });
  }

  #spawn(name: string, args: readonly string[]): void {
    const log = createWriteStream(join(this.stateDir, `${name}.log`), { flags: "a" });
    const child = spawn(process.execPath, [MAIN, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    child.stdout?.pipe(log);
    child.stderr?.pipe(log);
    this.#children.set(name, child);
    this.#started.set(name, systemClock.now());
  }

  async #end(name: string, signal: NodeJS.Signals): Promise<void> {
    const child = this.#children.get(name);
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    child.kill(signal);
    await ended;
  }
}

/** A database with users, flavors, images, networks, and tokens for the hosts; the address that the cloud is to keep. */
async function found(stateDir: string, config: CloudConfig) {
  const guest = await ensureGuestImage(IMAGE_CACHE);
  const settings = testSettings(stateDir, {
    ...readConfigFile(await writeConfig(stateDir, config)),
    adminPassword: PASSWORD,
  });
  const server = await startServer(settings);
  await server.seedGuestImage(guest);
  const tokens = new Map<string, string>();
  for (const host of HOSTS) tokens.set(host, await server.membership.createToken(host));
  await server.stop();
  return { address: server.address, tokens, probeGuest: dirname(guest.kernel) };
}

async function writeConfig(stateDir: string, config: CloudConfig): Promise<string> {
  const file = join(stateDir, "config.yaml");
  await writeFile(file, stringify({ compute: config.compute ?? {}, fleet: { ...FLEET, ...config.fleet } }));
  return file;
}

/** Waits for a condition with a limit. */
export async function until(what: string, limitMs: number, condition: () => Promise<boolean>): Promise<void> {
  const end = systemClock.now() + limitMs;
  while (!(await condition())) {
    if (systemClock.now() > end) throw new Error(`waited in vain until ${what}`);
    await sleep(systemClock, STEP_MS);
  }
}
