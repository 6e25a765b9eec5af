import type { BackendFacts, Manageable } from "../../../agent/protocol/block-storage.ts";
import { ManualClock } from "../../../kernel/clock/manual-clock.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { CommandDelivery } from "../../../kernel/fleet/command-delivery.ts";
import { announceService } from "../../../kernel/fleet/services.ts";
import { defaultFleetSettings } from "../../../kernel/fleet/settings.ts";
import { type FleetTables, fleetMigrations, type ServiceRow } from "../../../kernel/fleet/tables.ts";
import { createHttpServer, type HttpServer } from "../../../kernel/http/server.ts";
import { type IdSource, systemIds } from "../../../kernel/ids/ids.ts";
import { Loggers, silentLogger } from "../../../kernel/log/logger.ts";
import { OperationControl } from "../../../kernel/operations/control.ts";
import { operationMigrations } from "../../../kernel/operations/tables.ts";
import type { Credentials } from "../../../kernel/policy/credentials.ts";
import { Policy } from "../../../kernel/policy/policy.ts";
import { counterMigration } from "../../../kernel/store/counters.ts";
import type { Migration } from "../../../kernel/store/migrate.ts";
import type { Store } from "../../../kernel/store/store.ts";
import type { TestStore } from "../../../kernel/store/testing/stores.ts";
import type { BlockStorageDependencies } from "../dependencies.ts";
import { parsePlace } from "../domain/place.ts";
import { blockStorageFaces } from "../http/block-storage-face.ts";
import type { FaceDependencies } from "../http/dependencies.ts";
import { blockStorageOperations } from "../operations/block-storage-operations.ts";
import { blockStoragePolicies } from "../policies.ts";
import { type BlockStorageSettings, defaultBlockStorageSettings } from "../settings.ts";
import { recordBackend } from "../store/record-backend.ts";
import { type BlockStorageTables, blockStorageMigrations, type VolumeRow } from "../store/tables.ts";
import { SIM_FACTS, volumeRow } from "./rows.ts";
import { SeveralLoggers } from "./several-loggers.ts";

export const PROJECT = "11111111111111111111111111111111";
export const OTHER_PROJECT = "22222222222222222222222222222222";

/** Who may be asked for, by token. */
export const PEOPLE = {
  admin: person("admin", PROJECT, ["admin", "manager", "member", "reader"]),
  manager: person("manager", PROJECT, ["manager", "member", "reader"]),
  member: person("member", PROJECT, ["member", "reader"]),
  reader: person("reader", PROJECT, ["reader"]),
  stranger: person("stranger", OTHER_PROJECT, ["member", "reader"]),
};
export type Person = keyof typeof PEOPLE;

function person(name: string, projectId: string, roles: readonly string[]): Credentials {
  return { userId: `user-${name}`, projectId, domainId: null, systemScope: null, roles };
}

export interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into any body
  readonly body: any;
  readonly headers: Readonly<Record<string, unknown>>;
}

export interface AskOptions {
  readonly version?: string;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
  /** `/volume/v3` when absent. */
  readonly root?: string;
}

export interface GivenBackend {
  readonly cluster?: string;
  readonly facts?: Partial<BackendFacts>;
  readonly started?: boolean;
}

/** A block storage API over a database of its own. Operations are accepted and stay as they are: nothing runs them. */
export interface BlockStorageWorld {
  readonly store: Store;
  readonly clock: ManualClock;
  readonly ids: IdSource;
  readonly deps: FaceDependencies;
  readonly logs: SeveralLoggers;
  /** What is on every array. */
  readonly data: Manageable[];
  /** Servers with something under way. */
  readonly changing: Set<string>;
  readonly http: HttpServer;
  ask(who: Person | null, method: string, path: string, options?: AskOptions): Promise<Answer>;
  /** A `cinder-scheduler` that has just been heard. */
  givenScheduler(host: string): Promise<ServiceRow>;
  /** A backend that its agent has just announced: `node@backend`, maybe in a cluster. Announcing it again is a report, or a start. */
  givenBackend(host: string, options?: GivenBackend): Promise<void>;
  givenService(host: string, patch: Partial<ServiceRow>): Promise<void>;
  /** An available volume, unless told otherwise. */
  givenVolume(volume?: Partial<VolumeRow>): Promise<VolumeRow>;
  volume(id: string): Promise<VolumeRow>;
  close(): Promise<void>;
}

export const worldMigrations: readonly Migration[] = [
  counterMigration,
  ...operationMigrations,
  ...fleetMigrations,
  ...blockStorageMigrations,
];

export async function blockStorageWorld(
  open: (migrations: readonly Migration[]) => Promise<TestStore>,
  settings: Partial<BlockStorageSettings> = {},
): Promise<BlockStorageWorld> {
  const { store } = await open(worldMigrations);
  const clock = new ManualClock();
  const ids = systemIds;
  const loggers = new Loggers({ destination: { write: () => undefined } });
  const changing = new Set<string>();
  const base: BlockStorageDependencies = {
    kernel: { store, clock, ids, loggers, operations: new OperationControl(clock, ids) },
    settings: { ...defaultBlockStorageSettings, ...settings },
    fleet: defaultFleetSettings,
    servers: { holdSettled: async (_t, serverId) => !changing.has(serverId) },
    images: {
      find: async () => undefined,
      imageSource: async () => undefined,
      openData: async (id) => {
        throw new CloudError("notFound", "image.not_found", `No image ${id}`);
      },
    },
  };
  const logs = new SeveralLoggers();
  const data: Manageable[] = [];

  const deps: FaceDependencies = {
    ...base,
    operations: blockStorageOperations(base),
    logs,
    delivery: new CommandDelivery(store, clock),
    manageable: { on: async () => data },
  };
  const http = createHttpServer({
    faces: blockStorageFaces(deps),
    loggers,
    clock,
    ids,
    policy: new Policy({ defaults: blockStoragePolicies, log: silentLogger }),
    authenticator: {
      async authenticate(token) {
        const found = PEOPLE[token as Person];
        if (!found) throw new CloudError("unauthenticated", "http.unauthenticated", "The token is not valid.");
        return found;
      },
    },
    identityPath: "/identity/v3",
  });

  return {
    store,
    clock,
    ids,
    deps,
    logs,
    data,
    changing,
    http,
    async ask(who, method, path, options = {}) {
      const reply = await http.inject({
        method: method as "GET",
        url: `${options.root ?? "/volume/v3"}${path}`,
        headers: {
          ...(who === null ? {} : { "x-auth-token": who }),
          ...(options.version === undefined ? {} : { "openstack-api-version": `volume ${options.version}` }),
          ...(options.body === undefined ? {} : { "content-type": "application/json" }),
          ...options.headers,
        },
        ...(options.body === undefined
          ? {}
          : { payload: typeof options.body === "string" ? options.body : JSON.stringify(options.body) }),
      });
      return {
        status: reply.statusCode,
        body: reply.body === "" ? undefined : JSON.parse(reply.body),
        headers: reply.headers,
      };
    },
    async givenScheduler(host) {
      const binary = "cinder-scheduler";
      // As the fleet announces processes of the server.
      const announced = { host, binary, service: null, cluster: null, facts: {}, zone: "internal" };
      return await store.tx((t) => announceService(t, { clock, ids }, announced));
    },
    async givenBackend(host, { cluster = null, facts = {}, started = true } = {}) {
      const { node, backend } = parsePlace(host);
      const announced = { cluster, facts: { ...SIM_FACTS, backend: backend ?? "", ...facts } };
      const service = { host: node, backend: backend ?? "", binary: "cinder-volume", service: "block-storage" };
      await store.tx(async (t) => {
        await announceService(t, { clock, ids }, { ...service, ...announced, zone: "nova" });
        await recordBackend(t, deps, { node, backend: backend ?? "", ...announced, started });
      });
    },
    async givenService(host, patch) {
      await store.tx((t) =>
        t.tables<FleetTables>().updateTable("services").set(patch).where("host", "=", host).execute(),
      );
    },
    async givenVolume(volume = {}) {
      const row = { ...volumeRow({ id: ids.uuid(), project_id: PROJECT, now: clock.now() }), ...volume };
      await store.tx((t) => t.tables<BlockStorageTables>().insertInto("volumes").values(row).execute());
      return row;
    },
    async volume(id) {
      return await store.read
        .tables<BlockStorageTables>()
        .selectFrom("volumes")
        .selectAll()
        .where("id", "=", id)
        .executeTakeFirstOrThrow();
    },
    close: () => http.close(0),
  };
}
