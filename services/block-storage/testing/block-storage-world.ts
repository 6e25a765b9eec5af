import type { BackendFacts, Manageable } from "../../../agent/protocol/block-storage.ts";
import { ManualClock } from "../../../kernel/clock/manual-clock.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { CommandDelivery } from "../../../kernel/fleet/command-delivery.ts";
import { announceService } from "../../../kernel/fleet/services.ts";
import { defaultFleetSettings } from "../../../kernel/fleet/settings.ts";
import { type FleetTables, fleetMigrations, type ServiceRow } from "../../../kernel/fleet/tables.ts";
import type { HttpServer } from "../../../kernel/http/server.ts";
import { type AskAs, PROJECT, peopleApi } from "../../../kernel/http/testing/people-api.ts";
import { type IdSource, systemIds } from "../../../kernel/ids/ids.ts";
import { Loggers } from "../../../kernel/log/logger.ts";
import { OperationControl } from "../../../kernel/operations/control.ts";
import { operationMigrations } from "../../../kernel/operations/tables.ts";
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
  /** Servers that Compute has no more; all others are there. */
  readonly gone: Set<string>;
  readonly http: HttpServer;
  readonly ask: AskAs;
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
  const gone = new Set<string>();
  const base: BlockStorageDependencies = {
    kernel: { store, clock, ids, loggers, operations: new OperationControl(clock, ids) },
    settings: { ...defaultBlockStorageSettings, ...settings },
    fleet: defaultFleetSettings,
    servers: {
      holdSettled: async (_t, serverId) => !changing.has(serverId),
      hasServer: async (_q, serverId) => !gone.has(serverId),
    },
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
  const api = { faces: blockStorageFaces(deps), policies: blockStoragePolicies, clock };
  const { http, ask } = peopleApi({ ...api, root: "/volume/v3", service: "volume" });

  return {
    store,
    clock,
    ids,
    deps,
    logs,
    data,
    changing,
    gone,
    http,
    ask,
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
