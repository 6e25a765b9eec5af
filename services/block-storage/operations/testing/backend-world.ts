import type { Clock, Timer } from "../../../../kernel/clock/clock.ts";
import { announceService } from "../../../../kernel/fleet/services.ts";
import { type FleetTables, fleetMigrations } from "../../../../kernel/fleet/tables.ts";
import { systemIds } from "../../../../kernel/ids/ids.ts";
import type { CallerFactory } from "../../../../kernel/operations/command-caller.ts";
import { OperationControl } from "../../../../kernel/operations/control.ts";
import { operationMigrations } from "../../../../kernel/operations/tables.ts";
import type { FaultWorld } from "../../../../kernel/operations/testing/fault-run.ts";
import type { WorldTools } from "../../../../kernel/operations/testing/world-tools.ts";
import { counterMigration } from "../../../../kernel/store/counters.ts";
import type { Migration } from "../../../../kernel/store/migrate.ts";
import { parsePlace } from "../../domain/place.ts";
import { defaultBlockStorageSettings } from "../../settings.ts";
import { lockScope, type Scope, type ScopeState, updateScope } from "../../store/backends.ts";
import { recordBackend } from "../../store/record-backend.ts";
import { type BlockStorageTables, blockStorageMigrations, type VolumeRow } from "../../store/tables.ts";
import { SIM_FACTS, snapshotRow, volumeRow } from "../../testing/rows.ts";
import type { BackendTools } from "../scope-calls.ts";
import { SimulatedBackends } from "./simulated-backends.ts";

export const backendWorldMigrations: readonly Migration[] = [
  counterMigration,
  ...operationMigrations,
  ...fleetMigrations,
  ...blockStorageMigrations,
];

/** What the operations are made with, once; its clock is that of whichever world is open: a fault matrix opens many. */
export class BoundTools implements BackendTools, Clock {
  readonly kernel = { clock: this as Clock, ids: systemIds, operations: new OperationControl(this, systemIds) };
  readonly settings = defaultBlockStorageSettings;
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

/** Replicated backends, stand-alone or in a cluster, with volumes. */
export class BackendWorld implements FaultWorld {
  readonly backends = new SimulatedBackends();
  readonly callers: CallerFactory = this.backends.callers;
  readonly tools: WorldTools;

  constructor(bound: BoundTools, tools: WorldTools) {
    this.tools = tools;
    bound.inner = tools.clock;
  }

  async backend(host: string, cluster: string | null = null): Promise<void> {
    const { store, clock, ids } = this.tools;
    const { node, backend } = parsePlace(host);
    const facts = {
      ...SIM_FACTS,
      backend: backend ?? "",
      replicationEnabled: true,
      replicationTargets: this.backends.targets,
    };
    const announced = { backend: backend ?? "", cluster, facts };
    const binary = "cinder-volume";
    await store.tx(async (t) => {
      await announceService(
        t,
        { clock, ids },
        { ...announced, host: node, binary, service: "block-storage", zone: "nova" },
      );
      const deps = { kernel: { clock }, settings: defaultBlockStorageSettings };
      await recordBackend(t, deps, { ...announced, node, started: true });
    });
  }

  /** With a snapshot, which has the id of its volume. */
  async volume(volume: Partial<VolumeRow>): Promise<string> {
    const { store, clock, ids } = this.tools;
    const row = { ...volumeRow({ id: ids.uuid(), project_id: "p1", now: clock.now() }), ...volume };
    await store.tx(async (t) => {
      const db = t.tables<BlockStorageTables>();
      await db.insertInto("volumes").values(row).execute();
      await db.insertInto("volume_snapshots").values(snapshotRow(row)).execute();
    });
    return row.id;
  }

  /** As the request does, before it starts an operation. */
  async set(name: string, state: Partial<ScopeState>): Promise<Scope> {
    const { store, clock } = this.tools;
    return await store.tx(async (t) => {
      const scope = await lockScope(t, name);
      if (!scope) throw new Error(`no scope ${name}`);
      await updateScope(t, clock, scope, state);
      return scope;
    });
  }

  /** Status and replication status of a volume, and the status of its snapshot. */
  async seen(volumeId: string): Promise<unknown[]> {
    const db = this.tools.store.read.tables<BlockStorageTables>();
    const row = await db.selectFrom("volumes").selectAll().where("id", "=", volumeId).executeTakeFirstOrThrow();
    const snapshot = await db
      .selectFrom("volume_snapshots")
      .select("status")
      .where("volume_id", "=", volumeId)
      .executeTakeFirstOrThrow();
    return [row.status, row.previous_status, row.replication_status, snapshot.status];
  }

  /** What each message is about. */
  async messages(): Promise<string[]> {
    const db = this.tools.store.read.tables<BlockStorageTables>();
    return (await db.selectFrom("volume_messages").select("resource_id").execute()).map((row) => row.resource_id ?? "");
  }

  /** Flags of the service, then the state of its backend. */
  async flags(host: string): Promise<unknown[]> {
    const db = this.tools.store.read.tables<BlockStorageTables & FleetTables>();
    const service = await db.selectFrom("services").selectAll().where("host", "=", host).executeTakeFirstOrThrow();
    const backend = await db
      .selectFrom("volume_backends")
      .selectAll()
      .where("host", "=", host)
      .executeTakeFirstOrThrow();
    return [
      service.disabled,
      service.disabled_reason,
      backend.frozen,
      backend.replication_status,
      backend.active_backend_id,
    ];
  }

  async clusterFlags(name: string): Promise<unknown[]> {
    const db = this.tools.store.read.tables<BlockStorageTables>();
    const row = await db.selectFrom("volume_clusters").selectAll().where("name", "=", name).executeTakeFirstOrThrow();
    return [row.disabled, row.disabled_reason, row.frozen, row.replication_status, row.active_backend_id];
  }
}
