import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SimWorld } from "../../../agent/drivers/compute/sim/sim-world.ts";
import { writeIdentity } from "../../../agent/runtime/identity-file.ts";
import { MAIN } from "../../../apps/cli/local-hosts.ts";
import { startServer } from "../../../apps/server/program.ts";
import { testSettings } from "../../../apps/server/testing/test-settings.ts";
import { sleep, systemClock } from "../../../kernel/clock/clock.ts";
import type { OperationTables } from "../../../kernel/operations/tables.ts";
import { openPostgres, type TestStore } from "../../../kernel/store/testing/stores.ts";
import { Forwarder } from "./forwarder.ts";
import { end, gone, until } from "./killable.ts";
import { serveMachine } from "./machine.ts";

export const SERVERS: readonly string[] = ["server-1", "server-2"];
export const HOSTS: readonly string[] = ["host-1", "host-2", "host-3"];

const AGENT = join(import.meta.dirname, "sim-agent.ts");
const PASSWORD = "killed-cloud";
/** Long enough that kills hit migrations and copies. */
const WORK_MS = 600;
const START_LIMIT_MS = 60_000;
const CONFIG = "compute:\n  max_concurrent_live_migrations: 3\n";
const STEP_MS = 100;

interface Reply {
  readonly status: number;
  readonly body: unknown;
}

/** Two server processes on one PostgreSQL database, and an agent process for each host; any of them may be killed. */
export class KilledCloud {
  readonly database: TestStore;
  readonly world = new SimWorld({ clock: systemClock, mode: "auto", migrationMs: WORK_MS, copyMs: WORK_MS });
  readonly stateDir: string;
  readonly #forwarder = new Forwarder();
  readonly #children = new Map<string, ChildProcess>();
  #address = "";
  #token = "";
  #disposed = false;

  private constructor(database: TestStore, stateDir: string) {
    this.database = database;
    this.stateDir = stateDir;
  }

  static async start(): Promise<KilledCloud> {
    const cloud = new KilledCloud(await openPostgres([]), await mkdtemp(join(tmpdir(), "pileus-killed-")));
    try {
      await cloud.#found();
      await Promise.all([...SERVERS, ...HOSTS].map((name) => cloud.launch(name)));
      await cloud.#logIn();
      return cloud;
    } catch (error) {
      await cloud.dispose();
      throw error;
    }
  }

  /** Starts the process of that name; with a server, returns when it listens. */
  async launch(name: string): Promise<void> {
    if (this.#disposed) return;
    const server = SERVERS.includes(name);
    const child = server ? this.#spawnServer(name) : this.#spawnAgent(name);
    const log = createWriteStream(join(this.stateDir, `${name}.log`), { flags: "a" });
    let said = "";
    child.stdout?.on("data", (chunk: Buffer) => {
      said += chunk.toString();
    });
    child.stderr?.pipe(log);
    this.#children.set(name, child);
    if (!server) return;
    await until(`${name} listens`, START_LIMIT_MS, async () => {
      if (gone(child)) throw new Error(`${name} ended by itself; see ${this.stateDir}/${name}.log`);
      return said.includes("\n");
    });
    this.#forwarder.targets.set(name, Number(new URL(said.trim().split(" ").at(-1) ?? "").port));
  }

  /** `kill -9`; returns when the process is gone. Throws when it had ended by itself. */
  async kill(name: string): Promise<void> {
    const child = this.#children.get(name);
    if (!child || gone(child)) throw new Error(`${name} does not run`);
    this.#forwarder.targets.delete(name);
    await end(child);
  }

  /** A request through whichever server; null when it was lost with the server's process. */
  async ask(method: string, path: string, body?: unknown): Promise<Reply | null> {
    const headers = {
      "x-auth-token": this.#token,
      "content-type": "application/json",
      "openstack-api-version": "compute 2.92",
    };
    if (this.#disposed) throw new Error("the cloud is gone");
    try {
      const reply = await fetch(`${this.#address}${path}`, {
        method,
        headers,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const token = reply.headers.get("x-subject-token");
      if (token !== null) this.#token = token;
      const text = await reply.text();
      return { status: reply.status, body: text === "" ? null : (JSON.parse(text) as unknown) };
    } catch (error) {
      if (error instanceof TypeError) return null;
      throw error;
    }
  }

  /** A request that may be repeated, until it is answered with a 2xx. */
  async get<T>(path: string, method = "GET", body?: unknown): Promise<T> {
    const limit = systemClock.now() + START_LIMIT_MS;
    for (;;) {
      const reply = await this.ask(method, path, body);
      if (reply && reply.status < 300) return reply.body as T;
      if (reply || systemClock.now() > limit)
        throw new Error(`${method} ${path}: ${reply ? `${reply.status} ${JSON.stringify(reply.body)}` : "no server"}`);
      await sleep(systemClock, STEP_MS);
    }
  }

  /** Operations in somebody's hands whose lease has less than this left. */
  async leasesNotRenewed(ms: number): Promise<string[]> {
    const db = this.database.store.read.tables<OperationTables>();
    const rows = db.selectFrom("operations").select("id").where("state", "=", "running");
    return (await rows.where("run_at", "<", systemClock.now() + ms).execute()).map(({ id }) => id);
  }

  /** Ends every process; the database and the folder go with them. */
  async dispose(): Promise<void> {
    this.#disposed = true;
    for (const child of this.#children.values()) await end(child);
    await this.#forwarder.close();
    this.world.works.close();
    await this.database.dispose();
    await rm(this.stateDir, { recursive: true, force: true });
  }

  /** Users, flavors, an image, and the identities of the hosts, by a server that ends before the others start. */
  async #found(): Promise<void> {
    this.#address = await this.#forwarder.listen();
    await writeFile(join(this.stateDir, "config.yaml"), CONFIG);
    const settings = { database: this.database.url, adminPassword: PASSWORD, publicUrl: this.#address };
    const server = await startServer(testSettings(join(this.stateDir, "first"), settings));
    await server.seedSimulatedImage();
    for (const name of HOSTS) {
      this.world.addHost({ name, sharedStorage: "store" });
      const token = await server.membership.createToken(name);
      await writeIdentity(join(this.stateDir, name), await server.membership.join(token, name));
    }
    await server.stop();
  }

  async #logIn(): Promise<void> {
    const domain = { id: "default" };
    const user = { name: "admin", domain, password: PASSWORD };
    const scope = { project: { name: "admin", domain } };
    const auth = { identity: { methods: ["password"], password: { user } }, scope };
    const { token } = await this.get<{ token: { project: { id: string } } }>("/identity/v3/auth/tokens", "POST", {
      auth,
    });
    const unlimited = { quota_set: { instances: -1, cores: -1, ram: -1 } };
    await this.get(`/compute/v2.1/os-quota-sets/${token.project.id}`, "PUT", unlimited);
    await until("every host is up", START_LIMIT_MS, async () => {
      const path = "/compute/v2.1/os-services?binary=nova-compute";
      const { services } = await this.get<{ services: { state: string }[] }>(path);
      return services.filter(({ state }) => state === "up").length === HOSTS.length;
    });
  }

  #spawnServer(name: string): ChildProcess {
    const state = ["--state", join(this.stateDir, name), "--config", join(this.stateDir, "config.yaml")];
    const address = ["--listen", "127.0.0.1:0", "--public-url", this.#address];
    return spawn(process.execPath, [MAIN, "server", ...state, ...address], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, PILEUS_DATABASE: this.database.url, PILEUS_ADMIN_PASSWORD: PASSWORD },
    });
  }

  #spawnAgent(host: string): ChildProcess {
    const child = spawn(process.execPath, [AGENT, join(this.stateDir, host), this.#address], {
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      serialization: "advanced",
    });
    serveMachine(child, this.world, host);
    return child;
  }
}
