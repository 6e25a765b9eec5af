import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { credentialPaths } from "../../../apps/server/credential-files.ts";
import { type ServerProgram, startServer } from "../../../apps/server/program.ts";
import { type Simulation, simulateHosts } from "../../../apps/server/simulation.ts";
import { testSettings } from "../../../apps/server/testing/test-settings.ts";
import { sleep, systemClock } from "../../../kernel/clock/clock.ts";
import { isUp, listServices } from "../../../kernel/fleet/services.ts";
import { defaultFleetSettings, type FleetSettings } from "../../../kernel/fleet/settings.ts";
import { type ComputeSettings, defaultComputeSettings } from "../../../services/compute/settings.ts";
import { CloudUser } from "./cloud-user.ts";
import { type ClientHost, startClientHost } from "./official-clients.ts";

/** Users of every cloud beside `admin`; all but `stranger` in the project `lab`. */
const PEOPLE = {
  manager: { project: "lab", role: "manager" },
  member: { project: "lab", role: "member" },
  reader: { project: "lab", role: "reader" },
  stranger: { project: "other", role: "member" },
} as const;
const PASSWORD = "contract-password";
const HOSTS_UP_LIMIT_MS = 30_000;

export interface SimulatedCloudOptions {
  readonly hosts?: number;
  readonly compute?: Partial<ComputeSettings>;
  readonly fleet?: Partial<FleetSettings>;
}

/** The whole program with simulated hosts `host-1` …, and its users, each with the official clients. */
export interface SimulatedCloud {
  readonly server: ServerProgram;
  /** The hardware: holds migrations, breaks calls, cuts hosts off. */
  readonly simulation: Simulation;
  readonly admin: CloudUser;
  readonly manager: CloudUser;
  readonly member: CloudUser;
  readonly reader: CloudUser;
  /** Member of another project. */
  readonly stranger: CloudUser;
  dispose(): Promise<void>;
}

export async function simulatedCloud(options: SimulatedCloudOptions = {}): Promise<SimulatedCloud> {
  const stateDir = await mkdtemp(join(tmpdir(), "pileus-contract-"));
  const fleet = { ...defaultFleetSettings, ...options.fleet };
  const server = await startServer(
    testSettings(stateDir, {
      compute: { ...defaultComputeSettings, ...options.compute },
      fleet,
      adminPassword: PASSWORD,
    }),
  );
  const simulation = await simulateHosts(server, options.hosts ?? 3, fleet.reportIntervalMs);
  await server.seedSimulatedImage();
  await untilUp(server, simulation, fleet);
  const clients = await startClientHost();
  const user = (name: string, project: string) =>
    CloudUser.login({ address: server.address, cloudsFile, clients, name, password: PASSWORD, project });
  const cloudsFile = await writeClouds(stateDir);
  const admin = await user("admin", "admin");
  await createPeople(admin);
  return {
    server,
    simulation,
    admin,
    manager: await user("manager", "lab"),
    member: await user("member", "lab"),
    reader: await user("reader", "lab"),
    stranger: await user("stranger", "other"),
    dispose: () => dispose(clients, simulation, server, stateDir),
  };
}

async function dispose(clients: ClientHost, simulation: Simulation, server: ServerProgram, stateDir: string) {
  await clients.dispose();
  await simulation.close();
  await server.stop();
  await rm(stateDir, { recursive: true, force: true });
}

/** The program's own `clouds.yaml`, with the other users beside the administrator. */
async function writeClouds(stateDir: string): Promise<string> {
  const file = credentialPaths(stateDir).clouds;
  const { clouds } = parse(await readFile(file, "utf8")) as { clouds: { pileus: { auth: object } } };
  const { pileus } = clouds;
  const more = Object.entries(PEOPLE).map(([name, { project }]) => [
    name,
    { ...pileus, auth: { ...pileus.auth, username: name, password: PASSWORD, project_name: project } },
  ]);
  await writeFile(file, stringify({ clouds: { admin: pileus, ...Object.fromEntries(more) } }), { mode: 0o600 });
  return file;
}

async function createPeople(admin: CloudUser): Promise<void> {
  const identity = async (method: string, path: string, body?: object) => {
    const answer = await admin.ask(method, path, { root: "/identity/v3", body });
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  };
  const { roles } = await identity("GET", "/roles");
  const projects = new Map<string, string>();
  for (const [name, { project, role }] of Object.entries(PEOPLE)) {
    if (!projects.has(project)) {
      projects.set(project, (await identity("POST", "/projects", { project: { name: project } })).project.id);
    }
    const { user } = await identity("POST", "/users", { user: { name, password: PASSWORD } });
    const { id: roleId } = roles.find((each: { name: string }) => each.name === role);
    await identity("PUT", `/projects/${projects.get(project)}/users/${user.id}/roles/${roleId}`);
  }
  const unlimited = { quota_set: { instances: -1, cores: -1, ram: -1 } };
  for (const id of [admin.projectId, ...projects.values()]) {
    await admin.ask("PUT", `/os-quota-sets/${id}`, { body: unlimited });
  }
}

async function untilUp(server: ServerProgram, simulation: Simulation, fleet: FleetSettings): Promise<void> {
  const limit = systemClock.now() + HOSTS_UP_LIMIT_MS;
  const wanted = simulation.fleet.names();
  for (;;) {
    const services = await listServices(server.store.read, { binary: "nova-compute" });
    const up = services.filter((row) => isUp(row, systemClock.now(), fleet)).map((row) => row.host);
    if (wanted.every((host) => up.includes(host))) return;
    if (systemClock.now() > limit) throw new Error(`Not heard: ${wanted.filter((host) => !up.includes(host)).join()}`);
    await sleep(systemClock, 20);
  }
}
