import type { Clock, Timer } from "../../../../kernel/clock/clock.ts";
import type { FleetListener } from "../../../../kernel/fleet/fleet.ts";
import { defaultFleetSettings } from "../../../../kernel/fleet/settings.ts";
import { fleetMigrations } from "../../../../kernel/fleet/tables.ts";
import { systemIds } from "../../../../kernel/ids/ids.ts";
import { Loggers } from "../../../../kernel/log/logger.ts";
import { OperationControl } from "../../../../kernel/operations/control.ts";
import { operationMigrations } from "../../../../kernel/operations/tables.ts";
import { counterMigration } from "../../../../kernel/store/counters.ts";
import type { Migration } from "../../../../kernel/store/migrate.ts";
import type { Store } from "../../../../kernel/store/store.ts";
import { blockStorageMigrations } from "../../../block-storage/store/tables.ts";
import { type VolumeNeighbour, volumeNeighbour } from "../../../block-storage/testing/as-neighbour.ts";
import type { ImagePublic, ImageSummary } from "../../../image/public.ts";
import { ServerPorts } from "../../../network/server-ports.ts";
import { DEFAULT_MTU, DEFAULT_QUOTAS, type NetworkContext } from "../../../network/settings.ts";
import { networkMigrations } from "../../../network/store/tables.ts";
import type { ComputeDependencies } from "../../dependencies.ts";
import { hasServer, holdSettled } from "../../public.ts";
import { computeListener } from "../../reconcile/agent-news.ts";
import { type ComputeSettings, defaultComputeSettings } from "../../settings.ts";
import { computeMigrations } from "../../store/tables.ts";
import { type ComputeOperations, computeOperations } from "../compute-operations.ts";

/** What a database needs before the operations of this service can run on it. */
export const operationWorldMigrations: readonly Migration[] = [
  counterMigration,
  ...operationMigrations,
  ...fleetMigrations,
  ...networkMigrations,
  ...blockStorageMigrations,
  ...computeMigrations,
];

export const IMAGE_ID = "11111111-1111-4111-8111-111111111111";

/** The operations, made once, on the clock and database of whichever world is open: a fault matrix opens many. */
export class OperationHarness {
  readonly deps: ComputeDependencies;
  readonly operations: ComputeOperations;
  readonly volumes: VolumeNeighbour;
  readonly listeners: readonly FleetListener[];
  readonly networkContext: NetworkContext;
  readonly #clock = new BoundClock();
  #store: Store | undefined;

  constructor(settings: Partial<ComputeSettings> = {}) {
    const clock = this.#clock;
    const ids = systemIds;
    this.networkContext = { clock, ids, mtu: DEFAULT_MTU, quotas: { ...DEFAULT_QUOTAS, port: -1 } };
    const store = () => this.#boundStore();
    const common = {
      kernel: {
        get store() {
          return store();
        },
        clock,
        ids,
        loggers: new Loggers({ level: "error" }),
        operations: new OperationControl(clock, ids),
      },
      fleet: defaultFleetSettings,
      images: oneImage,
    };
    this.volumes = volumeNeighbour({ ...common, servers: { holdSettled, hasServer } });
    this.deps = {
      ...common,
      settings: { ...defaultComputeSettings, ...settings },
      network: new ServerPorts(this.networkContext),
      blockStorage: this.volumes.public,
    };
    this.operations = computeOperations(this.deps);
    this.listeners = [computeListener(this.deps), this.volumes.listener];
  }

  bind(process: { store: Store; clock: Clock }): void {
    this.#clock.inner = process.clock;
    this.#store = process.store;
  }

  #boundStore(): Store {
    if (this.#store) return this.#store;
    throw new Error("no world is open");
  }
}

class BoundClock implements Clock {
  inner: Clock | undefined;

  now(): number {
    return this.#bound().now();
  }

  after(delayMs: number, fn: () => void): Timer {
    return this.#bound().after(delayMs, fn);
  }

  #bound(): Clock {
    if (this.inner) return this.inner;
    throw new Error("no world is open");
  }
}

const IMAGE: ImageSummary = {
  id: IMAGE_ID,
  name: "tiny",
  status: "active",
  minDiskGiB: 0,
  minRamMiB: 0,
  sizeBytes: 1024,
  virtualSizeBytes: 1024,
  diskFormat: "qcow2",
  containerFormat: "bare",
  properties: {},
  visibility: "public",
  ownerProjectId: "p1",
};

const oneImage: ImagePublic = {
  find: async (_q, id) => (id === IMAGE_ID ? IMAGE : undefined),
  imageSource: async (_q, id) =>
    id === IMAGE_ID ? { imageId: id, format: "qcow2", sizeBytes: 1024, sha256: "0".repeat(64) } : undefined,
  openData: () => Promise.reject(new Error("simulated guests need no image file")),
};
