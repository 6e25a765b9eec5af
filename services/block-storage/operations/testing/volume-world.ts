import assert from "node:assert/strict";
import type { Clock, Timer } from "../../../../kernel/clock/clock.ts";
import type { PublicFault } from "../../../../kernel/errors/cloud-error.ts";
import { announceService } from "../../../../kernel/fleet/services.ts";
import { defaultFleetSettings } from "../../../../kernel/fleet/settings.ts";
import { systemIds } from "../../../../kernel/ids/ids.ts";
import { silentLogger } from "../../../../kernel/log/logger.ts";
import { OperationControl } from "../../../../kernel/operations/control.ts";
import type { AnyOperation } from "../../../../kernel/operations/definition.ts";
import { OperationRunner } from "../../../../kernel/operations/runner.ts";
import { FINAL_STATES, type OperationTables } from "../../../../kernel/operations/tables.ts";
import type { FaultWorld } from "../../../../kernel/operations/testing/fault-run.ts";
import type { WorldTools } from "../../../../kernel/operations/testing/world-tools.ts";
import { parsePlace, withoutPool } from "../../domain/place.ts";
import { defaultBlockStorageSettings } from "../../settings.ts";
import { insertAttachment } from "../../store/attachments.ts";
import { recordBackend } from "../../store/record-backend.ts";
import type { AttachmentRow, BlockStorageTables, SnapshotRow, VolumeRow } from "../../store/tables.ts";
import { insertType } from "../../store/volume-types.ts";
import { SIM_FACTS, snapshotRow, volumeRow } from "../../testing/rows.ts";
import type { VolumeTools } from "../volume-calls.ts";
import { SimulatedArrays } from "./simulated-arrays.ts";
import { addressOf } from "./simulated-moves.ts";

/** What the operations are made with, once; its clock is that of whichever world is open: a fault matrix opens many. */
export class BoundVolumeTools implements VolumeTools, Clock {
  readonly kernel = { clock: this as Clock, ids: systemIds, operations: new OperationControl(this, systemIds) };
  readonly settings = defaultBlockStorageSettings;
  /** Nobody reports here, and a matrix lets much time pass: what is announced stays up. */
  readonly fleet = { ...defaultFleetSettings, serviceDownTimeMs: Number.MAX_SAFE_INTEGER };
  readonly images: VolumeTools["images"] = { imageSource: async () => undefined };
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

/** Backends, stand-alone or in a cluster, with volumes that their rows speak of. */
export class VolumeWorld implements FaultWorld {
  readonly arrays = new SimulatedArrays();
  readonly callers = this.arrays.callers;
  readonly tools: WorldTools;
  readonly definitions: readonly AnyOperation[];

  constructor(bound: BoundVolumeTools, tools: WorldTools, definitions: readonly AnyOperation[] = []) {
    this.tools = tools;
    this.definitions = definitions;
    bound.inner = tools.clock;
  }

  /** `node@backend`, which is what its volumes are placed on, maybe in a cluster. */
  async backend(host: string, cluster: string | null = null, freeGiB = 100): Promise<void> {
    const { store, clock, ids } = this.tools;
    const { node, backend } = parsePlace(host);
    const name = backend ?? "";
    const announced = { backend: name, cluster, facts: { ...SIM_FACTS, backend: name, freeGiB } };
    const service = { host: node, binary: "cinder-volume", service: "block-storage", zone: "nova" };
    await store.tx(async (t) => {
      await announceService(t, { clock, ids }, { ...announced, ...service });
      const deps = { kernel: { clock }, settings: defaultBlockStorageSettings };
      await recordBackend(t, deps, { ...announced, node, started: true });
    });
  }

  /** Its row; and its data where the row says that it is placed and made. */
  async volume(volume: Partial<VolumeRow> = {}): Promise<VolumeRow> {
    const { store, clock, ids } = this.tools;
    const row = { ...volumeRow({ id: ids.uuid(), project_id: "p1", now: clock.now() }), ...volume };
    await store.tx((t) => t.tables<BlockStorageTables>().insertInto("volumes").values(row).execute());
    const place = row.cluster_name ?? row.host;
    if (place !== null) {
      const data = { sizeGiB: row.size_gib, replicated: false, source: "empty" };
      this.arrays.of(withoutPool(place)).volumes.set(row.id, data);
    }
    return row;
  }

  /** A type with these extra specs; returns its id. */
  async type(specs: Readonly<Record<string, string>>): Promise<string> {
    const { store, clock, ids } = this.tools;
    const id = ids.uuid();
    const row = { id, name: id, description: null, is_public: 1, qos_specs_id: null };
    const times = { created_at: clock.now(), updated_at: null };
    await store.tx((t) => insertType(t, { ...row, ...times, extra_specs: JSON.stringify(specs) }));
    return id;
  }

  async snapshot(volume: VolumeRow, snapshot: Partial<SnapshotRow> = {}): Promise<SnapshotRow> {
    const row = { ...snapshotRow(volume), id: this.tools.ids.uuid(), ...snapshot };
    await this.tools.store.tx((t) =>
      t.tables<BlockStorageTables>().insertInto("volume_snapshots").values(row).execute(),
    );
    const place = volume.cluster_name ?? volume.host;
    if (place !== null && row.status === "available")
      this.arrays.of(withoutPool(place)).snapshots.set(row.id, volume.id);
    return row;
  }

  /** By which a server of Compute on that host has the volume, which is served to it. */
  async attachment(volumeId: string, host: string, address: object = addressOf(volumeId)): Promise<void> {
    const { store, clock, ids } = this.tools;
    const { project_id, host: place, cluster_name } = await this.row(volumeId);
    const row: AttachmentRow = {
      id: ids.uuid(),
      volume_id: volumeId,
      project_id,
      server_id: ids.uuid(),
      attached_host: host,
      mountpoint: "/dev/vdb",
      attach_mode: "rw",
      attach_status: "attached",
      connector: JSON.stringify({ host }),
      connection_info: JSON.stringify(address),
      attached_at: clock.now(),
      detached_at: null,
      held_by_compute: 1,
      created_at: clock.now(),
      updated_at: null,
    };
    await store.tx((t) => insertAttachment(t, row));
    this.arrays.of(withoutPool(cluster_name ?? place ?? "")).served.add(volumeId);
  }

  async row(id: string): Promise<VolumeRow> {
    const db = this.tools.store.read.tables<BlockStorageTables>();
    return await db.selectFrom("volumes").selectAll().where("id", "=", id).executeTakeFirstOrThrow();
  }

  async snapshotRow(id: string): Promise<SnapshotRow> {
    const db = this.tools.store.read.tables<BlockStorageTables>();
    return await db.selectFrom("volume_snapshots").selectAll().where("id", "=", id).executeTakeFirstOrThrow();
  }

  /** Status, mode and host of every attachment. */
  async attachments(): Promise<string[]> {
    const db = this.tools.store.read.tables<BlockStorageTables>();
    const rows = await db.selectFrom("volume_attachments").selectAll().execute();
    return rows.map((row) => `${row.attach_status} ${row.attach_mode ?? "-"} ${row.attached_host ?? "-"}`);
  }

  async messages(): Promise<string[]> {
    const db = this.tools.store.read.tables<BlockStorageTables>();
    return (await db.selectFrom("volume_messages").selectAll().execute()).map((row) => row.user_message);
  }

  /** Of the operation on this volume that was undone. */
  async faultOf(volumeId: string): Promise<PublicFault> {
    const { fault } = await this.tools.store.read
      .tables<OperationTables>()
      .selectFrom("operations")
      .select("fault")
      .where("resource_id", "=", volumeId)
      .where("state", "=", "undone")
      .executeTakeFirstOrThrow();
    return JSON.parse(fault ?? "{}") as PublicFault;
  }

  /** Carries out what is due, so that nothing is left to do. */
  async drain(definitions: readonly AnyOperation[]): Promise<void> {
    const { store, clock } = this.tools;
    const all = [...definitions, ...this.definitions];
    const { callers } = this;
    await new OperationRunner({ store, clock, log: silentLogger, callers, definitions: all, owner: "test" }).drain();
  }

  /** Demands that the backends hold exactly these, and that no operation is under way. */
  async expectLeft(...contents: string[]): Promise<void> {
    await this.drain([]);
    const live = await this.tools.store.read
      .tables<OperationTables>()
      .selectFrom("operations")
      .select("name")
      .where("state", "not in", FINAL_STATES)
      .execute();
    assert.deepEqual(live, []);
    assert.deepEqual(this.arrays.contents(), contents);
  }
}

export const STRAY = "found.raw";

/** A volume for which data on `a@r` is to be managed, as the request leaves it. */
export async function givenManaging(world: VolumeWorld): Promise<string> {
  await world.backend("a@r");
  const row = { host: "a@r#r", status: "managing", size_gib: 0, consumes_quota: 0, launched_at: null } as const;
  const { id } = await world.volume(row);
  world.arrays.of("a@r").volumes.clear();
  return id;
}
