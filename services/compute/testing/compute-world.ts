import type { ComputeFacts } from "../../../agent/protocol/compute.ts";
import type { GuestDiagnostics } from "../../../agent/protocol/diagnostics.ts";
import { ManualClock } from "../../../kernel/clock/manual-clock.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { announceService } from "../../../kernel/fleet/services.ts";
import { defaultFleetSettings } from "../../../kernel/fleet/settings.ts";
import { type FleetTables, fleetMigrations, type ServiceRow } from "../../../kernel/fleet/tables.ts";
import type { HttpServer } from "../../../kernel/http/server.ts";
import { type Answer, type AskAs, type Person, PROJECT, peopleApi } from "../../../kernel/http/testing/people-api.ts";
import { type IdSource, systemIds } from "../../../kernel/ids/ids.ts";
import { Loggers } from "../../../kernel/log/logger.ts";
import { OperationControl } from "../../../kernel/operations/control.ts";
import { operationMigrations } from "../../../kernel/operations/tables.ts";
import { counterMigration, nextNumber } from "../../../kernel/store/counters.ts";
import type { Migration } from "../../../kernel/store/migrate.ts";
import type { Store } from "../../../kernel/store/store.ts";
import type { TestStore } from "../../../kernel/store/testing/stores.ts";
import { type BlockStorageTables, blockStorageMigrations, type VolumeRow } from "../../block-storage/store/tables.ts";
import { volumeNeighbour } from "../../block-storage/testing/as-neighbour.ts";
import { volumeRow } from "../../block-storage/testing/rows.ts";
import type { ImageSummary } from "../../image/public.ts";
import { createNetworkService, type NetworkService } from "../../network/service.ts";
import { networkMigrations } from "../../network/store/tables.ts";
import type { ComputeDependencies } from "../dependencies.ts";
import { computeFaces } from "../http/compute-faces.ts";
import type { FaceDependencies } from "../http/dependencies.ts";
import { computeOperations } from "../operations/compute-operations.ts";
import { computePolicies } from "../policies.ts";
import { hasServer, holdSettled } from "../public.ts";
import { type ComputeSettings, defaultComputeSettings } from "../settings.ts";
import { insertFlavor } from "../store/flavors.ts";
import { recordHost } from "../store/hosts.ts";
import {
  type ComputeTables,
  computeMigrations,
  type FlavorRow,
  type MigrationRow,
  type ServerRow,
} from "../store/tables.ts";
import { flavorRow, migrationRow, SIM_FACTS, serverRow } from "./rows.ts";

/** A compute API over a database of its own. Operations are accepted and stay as they are: nothing runs them. */
export interface ComputeWorld {
  readonly store: Store;
  readonly clock: ManualClock;
  readonly ids: IdSource;
  readonly deps: FaceDependencies;
  readonly http: HttpServer;
  readonly network: NetworkService;
  readonly images: Map<string, ImageSummary>;
  /** What guests have used, by server. */
  readonly diagnostics: Map<string, GuestDiagnostics>;
  readonly ask: AskAs;
  /** `POST /servers/{id}/action` */
  act(who: Person, serverId: string, body: unknown, version?: string): Promise<Answer>;
  givenFlavor(flavor?: Partial<FlavorRow>): Promise<FlavorRow>;
  givenImage(image?: Partial<ImageSummary>): ImageSummary;
  /** A compute host that has just been heard. */
  givenHost(name: string, facts?: Partial<ComputeFacts>): Promise<ServiceRow>;
  givenService(uuid: string, patch: Partial<ServiceRow>): Promise<void>;
  /** An active server on `host-1`, unless told otherwise. */
  givenServer(server?: Partial<ServerRow>): Promise<ServerRow>;
  /** An available volume, unless told otherwise. */
  givenVolume(volume?: Partial<VolumeRow>): Promise<VolumeRow>;
  volume(id: string): Promise<VolumeRow>;
  setVolume(id: string, patch: Partial<VolumeRow>): Promise<void>;
  givenMigration(migration: Partial<MigrationRow> & { server_id: string }): Promise<MigrationRow>;
  server(id: string): Promise<ServerRow>;
  close(): Promise<void>;
}

export const worldMigrations: readonly Migration[] = [
  counterMigration,
  ...operationMigrations,
  ...fleetMigrations,
  ...networkMigrations,
  ...blockStorageMigrations,
  ...computeMigrations,
];

export async function computeWorld(
  open: (migrations: readonly Migration[]) => Promise<TestStore>,
  settings: Partial<ComputeSettings> = {},
): Promise<ComputeWorld> {
  const { store } = await open(worldMigrations);
  const clock = new ManualClock();
  const ids = systemIds;
  const loggers = new Loggers({ destination: { write: () => undefined } });
  const kernel = { store, clock, ids, loggers, operations: new OperationControl(clock, ids) };
  const network = createNetworkService(kernel);
  const images = new Map<string, ImageSummary>();
  const diagnostics = new Map<string, GuestDiagnostics>();
  const imageService: ComputeDependencies["images"] = {
    find: async (_q, id) => images.get(id),
    imageSource: async () => undefined,
    openData: async (id) => {
      throw new CloudError("notFound", "image.not_found", `No image ${id}`);
    },
  };
  const fleet = defaultFleetSettings;
  const base: ComputeDependencies = {
    kernel,
    settings: { ...defaultComputeSettings, ...settings },
    fleet,
    network: network.public,
    images: imageService,
    blockStorage: volumeNeighbour({ kernel, fleet, images: imageService, servers: { holdSettled, hasServer } }).public,
  };
  const deps: FaceDependencies = {
    ...base,
    operations: computeOperations(base),
    consoles: {
      output: async (host, serverId, lines) => `console of ${serverId} on ${host}: ${lines ?? "all"} lines\n`,
      open: async () => {},
    },
    diagnose: async (_host, serverId) => {
      const figures = diagnostics.get(serverId);
      if (figures) return figures;
      throw new CloudError("notFound", "compute.guest_not_found", `Server ${serverId} is not on this host.`);
    },
  };
  const api = { faces: computeFaces(deps), policies: computePolicies, clock };
  const { http, ask } = peopleApi({ ...api, root: "/compute/v2.1", service: "compute" });

  return {
    store,
    clock,
    ids,
    deps,
    http,
    network,
    images,
    diagnostics,
    ask,
    async act(who, serverId, body, version) {
      // No two actions at the same time, so that a list of them has an order.
      clock.advance(1);
      const path = `/servers/${serverId}/action`;
      return await ask(who, "POST", path, { body, ...(version === undefined ? {} : { version }) });
    },
    async givenFlavor(flavor = {}) {
      return await store.tx(async (t) => {
        const row = { ...flavorRow(await nextNumber(t, "compute.flavor"), clock.now()), ...flavor };
        await insertFlavor(t, row);
        return row;
      });
    },
    givenImage(image = {}) {
      const id = image.id ?? ids.uuid();
      const summary: ImageSummary = {
        id,
        name: "tiny",
        status: "active",
        minDiskGiB: 0,
        minRamMiB: 0,
        sizeBytes: 1_000_000,
        virtualSizeBytes: 2_000_000,
        diskFormat: "qcow2",
        containerFormat: "bare",
        properties: {},
        visibility: "public",
        ownerProjectId: PROJECT,
        ...image,
      };
      images.set(id, summary);
      return summary;
    },
    async givenHost(name, facts = {}) {
      return await store.tx(async (t) => {
        await recordHost(t, { clock, ids }, { name, zone: "nova", facts: { ...SIM_FACTS, ...facts } });
        const announced = {
          host: name,
          binary: "nova-compute",
          service: "compute",
          cluster: null,
          facts: {},
          zone: "nova",
        };
        return await announceService(t, { clock, ids }, announced);
      });
    },
    async givenService(uuid, patch) {
      await store.tx((t) =>
        t.tables<FleetTables>().updateTable("services").set(patch).where("uuid", "=", uuid).execute(),
      );
    },
    async givenServer(server = {}) {
      return await store.tx(async (t) => {
        const number = await nextNumber(t, "compute.server");
        const row = { ...serverRow({ id: ids.uuid(), number, project_id: PROJECT, now: clock.now() }), ...server };
        await t.tables<ComputeTables>().insertInto("servers").values(row).execute();
        return row;
      });
    },
    async givenVolume(volume = {}) {
      const row = { ...volumeRow({ id: ids.uuid(), project_id: PROJECT, now: clock.now() }), ...volume };
      await store.tx((t) => t.tables<BlockStorageTables>().insertInto("volumes").values(row).execute());
      return row;
    },
    async volume(id) {
      const db = store.read.tables<BlockStorageTables>();
      return await db.selectFrom("volumes").selectAll().where("id", "=", id).executeTakeFirstOrThrow();
    },
    async setVolume(id, patch) {
      await store.tx((t) =>
        t.tables<BlockStorageTables>().updateTable("volumes").set(patch).where("id", "=", id).execute(),
      );
    },
    async givenMigration(migration) {
      return await store.tx(async (t) => {
        const number = await nextNumber(t, "compute.migration");
        const row = { ...migrationRow({ number, uuid: ids.uuid(), now: clock.now() }), ...migration };
        await t.tables<ComputeTables>().insertInto("migrations").values(row).execute();
        return row;
      });
    },
    async server(id) {
      return await store.read
        .tables<ComputeTables>()
        .selectFrom("servers")
        .selectAll()
        .where("id", "=", id)
        .executeTakeFirstOrThrow();
    },
    close: () => http.close(0),
  };
}
