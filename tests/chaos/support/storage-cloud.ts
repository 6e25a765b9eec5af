import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createFileNbdDriver } from "../../../agent/drivers/block-storage/file-nbd/driver.ts";
import { MAIN, prepareLocalHost, stopWorkloads } from "../../../apps/cli/local-hosts.ts";
import { volumeFlags } from "../../../apps/cli/local-volumes.ts";
import { startServer } from "../../../apps/server/program.ts";
import { testSettings } from "../../../apps/server/testing/test-settings.ts";
import { systemClock } from "../../../kernel/clock/clock.ts";
import { systemIds } from "../../../kernel/ids/ids.ts";
import { silentLogger } from "../../../kernel/log/logger.ts";
import { CloudClient } from "../../service/support/cloud-client.ts";
import { end, gone, until } from "./killable.ts";

export const MEMBERS: readonly string[] = ["host-1", "host-2"];

const CLUSTER = "pileus@shared";
const BACKEND = "shared";
const REPLICATED = "replicated";
const PASSWORD = "storage-cloud";
const START_LIMIT_MS = 60_000;
const CAPACITY_GIB = 2_000;
/** A beat each second; a machine that does much else delays them, and a volume cannot be placed while no member is up. */
const CONFIG = "fleet:\n  report_interval: 1\n  service_down_time: 30\n";

interface Service {
  readonly host: string;
  readonly state: string;
  /** When it was last heard, UTC without a zone. */
  readonly updated_at: string;
}

/** A server process on SQLite, and two agent processes that are members of one cluster over one real array; the agents may be killed. */
export class StorageCloud {
  readonly stateDir: string;
  /** Where the array keeps its records and data. */
  readonly array: string;
  /** Sockets of what serves its volumes. */
  readonly runDir: string;
  readonly #client: CloudClient;
  readonly #address: string;
  readonly #tokens: ReadonlyMap<string, string>;
  readonly #children = new Map<string, ChildProcess>();
  /** When each process was started last. */
  readonly #started = new Map<string, number>();
  #token = "";
  #disposed = false;

  private constructor(
    stateDir: string,
    { address, tokens, runDir }: { address: string; tokens: ReadonlyMap<string, string>; runDir: string },
  ) {
    this.stateDir = stateDir;
    this.runDir = runDir;
    this.array = arrayIn(stateDir);
    this.#address = address;
    this.#tokens = tokens;
    this.#client = new CloudClient(address);
  }

  /** `replicated`: the first member has a backend of its own besides, with a second array, and types `plain` and `replicated` lead there. */
  static async start({ replicated = false }: { replicated?: boolean } = {}): Promise<StorageCloud> {
    const stateDir = await mkdtemp(join(tmpdir(), "pls-"));
    const cloud = new StorageCloud(stateDir, await found(stateDir, replicated));
    try {
      await cloud.#startServer();
      await cloud.#logIn();
      for (const member of MEMBERS) await cloud.launch(member);
      await until("every member is up", START_LIMIT_MS, async () => {
        const { services } = await cloud.get<{ services: Service[] }>("/volume/v3/os-services?binary=cinder-volume");
        return services.filter(({ state }) => state === "up").length === MEMBERS.length + (replicated ? 1 : 0);
      });
      if (replicated) await cloud.#makeTypes();
      return cloud;
    } catch (error) {
      await cloud.dispose();
      throw error;
    }
  }

  /** Starts the member's agent; it need not be up when this returns. */
  async launch(member: string): Promise<void> {
    if (this.#disposed) return;
    const args = await prepareLocalHost(
      {
        stateDir: this.stateDir,
        names: MEMBERS,
        serverUrl: this.#address,
        caFile: null,
        namespaces: false,
        probeGuest: null,
        logLevel: "info",
        createToken: async (host) => this.#tokens.get(host) ?? "",
        say: () => undefined,
      },
      member,
    );
    this.#spawn(member, args);
  }

  /** Waits until the member was heard after that moment. */
  async untilHeard(member: string, since: number): Promise<void> {
    await until(`${member} is heard`, START_LIMIT_MS, async () => {
      const path = `/volume/v3/os-services?binary=cinder-volume&host=${member}@${BACKEND}`;
      const [service] = (await this.get<{ services: Service[] }>(path)).services;
      return Date.parse(`${service?.updated_at}Z`) > since;
    });
  }

  /** `kill -9` of the member's agent. Throws when that had ended by itself. */
  async kill(member: string): Promise<void> {
    const child = this.#children.get(member);
    if (!child || gone(child)) throw new Error(`${member} does not run; see ${this.stateDir}/${member}.log`);
    await end(child);
  }

  /** Whether the server has heard the member's agent since that was started last. */
  async hears(member: string): Promise<boolean> {
    const since = this.#started.get(member) ?? 0;
    const { services } = await this.get<{ services: Service[] }>("/volume/v3/os-services?binary=cinder-volume");
    return services.some(
      ({ host, updated_at }) => host.split("@")[0] === member && Date.parse(`${updated_at}Z`) > since,
    );
  }

  async get<T>(path: string): Promise<T> {
    return await this.ask<T>("GET", path);
  }

  /** Throws on any status but a 2xx. */
  async ask<T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
    const version = { "OpenStack-API-Version": "volume 3.71" };
    return await this.#client.must<T>({ method, path, token: this.#token, body, headers: { ...version, ...headers } });
  }

  /** 0 when nobody answers. */
  async status(path: string): Promise<number> {
    return (await this.#client.ask({ method: "GET", path, token: this.#token })).status;
  }

  /** One more member of the cluster, in this process: what servers' hosts will ask of theirs, to have volumes served. */
  async thirdMember() {
    const shared = { backend: BACKEND, cluster: CLUSTER, directory: this.array, replicationTargets: [] };
    return await createFileNbdDriver({ host: "host-3", ...shared, ...this.#common() });
  }

  /** The replicated backend, as its agent has it. */
  async replicatedDriver() {
    const { directory, replicationTargets } = replicatedIn(this.stateDir);
    const own = { backend: REPLICATED, cluster: null, directory, replicationTargets };
    return await createFileNbdDriver({ host: MEMBERS[0] ?? "", ...own, ...this.#common() });
  }

  #common() {
    const tools = { clock: systemClock, ids: systemIds, log: silentLogger };
    const stateDir = join(this.stateDir, "volume-arrays");
    return { capacityGiB: CAPACITY_GIB, reservedPercent: 0, runDir: this.runDir, stateDir, ...tools };
  }

  async #makeTypes(): Promise<void> {
    const there = { volume_backend_name: REPLICATED };
    const types = { plain: there, replicated: { ...there, replication_enabled: "<is> True" } };
    for (const [name, extra_specs] of Object.entries(types))
      await this.ask("POST", "/volume/v3/types", { volume_type: { name, extra_specs } });
  }

  /** Ends the agents and the server, in good order: the database file is then complete. */
  async stop(): Promise<void> {
    this.#disposed = true;
    for (const child of this.#children.values()) await end(child, "SIGTERM");
  }

  /** Ends every process; the folder goes with them. */
  async dispose(): Promise<void> {
    await this.stop();
    this.#client.close();
    await stopWorkloads(this.stateDir, MEMBERS, false, { graceMs: 0 });
    await rm(this.stateDir, { recursive: true, force: true });
  }

  async #startServer(): Promise<void> {
    const config = join(this.stateDir, "config.yaml");
    await writeFile(config, CONFIG);
    const listen = ["--listen", new URL(this.#address).host];
    this.#spawn("server", ["server", "--state", this.stateDir, ...listen, "--config", config]);
    await until("the server answers", START_LIMIT_MS, async () => {
      const answer = await fetch(`${this.#address}/healthz`).catch(() => undefined);
      return answer?.ok === true;
    });
  }

  async #logIn(): Promise<void> {
    const project = { name: "admin", domain: { id: "default" } };
    this.#token = await this.#client.logIn({ name: "admin", password: PASSWORD }, { project });
    const { projects } = await this.get<{ projects: { id: string }[] }>("/identity/v3/projects?name=admin");
    const unlimited = { quota_set: { volumes: -1, snapshots: -1, gigabytes: -1 } };
    await this.ask("PUT", `/volume/v3/os-quota-sets/${projects[0]?.id}`, unlimited);
  }

  #spawn(name: string, args: readonly string[]): void {
    const log = createWriteStream(join(this.stateDir, `${name}.log`), { flags: "a" });
    const child = spawn(process.execPath, [MAIN, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    child.stdout?.pipe(log, { end: false });
    child.stderr?.pipe(log);
    this.#children.set(name, child);
    this.#started.set(name, systemClock.now());
  }
}

const arrayIn = (stateDir: string): string => join(stateDir, "volumes", "shared");

const replicatedIn = (stateDir: string) => ({
  name: REPLICATED,
  hosts: MEMBERS.slice(0, 1),
  directory: join(stateDir, "volumes", "replicated"),
  capacityGiB: CAPACITY_GIB,
  replicationTargets: [{ id: "second", directory: join(stateDir, "volumes", "second") }],
});

/** A database with users, tokens for the hosts, and the address that the cloud is to keep. */
async function found(stateDir: string, replicated: boolean) {
  const shared = {
    name: BACKEND,
    hosts: MEMBERS,
    cluster: CLUSTER,
    directory: arrayIn(stateDir),
    capacityGiB: CAPACITY_GIB,
  };
  await writeFile(
    join(stateDir, "volume-backends.json"),
    JSON.stringify(replicated ? [shared, replicatedIn(stateDir)] : [shared]),
  );
  const server = await startServer(testSettings(stateDir, { adminPassword: PASSWORD }));
  const tokens = new Map<string, string>();
  for (const member of MEMBERS) tokens.set(member, await server.membership.createToken(member));
  await server.stop();
  const [, , , runDir = ""] = await volumeFlags(stateDir);
  return { address: server.address, tokens, runDir };
}
