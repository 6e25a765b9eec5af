import type { BackendFacts } from "../../../agent/protocol/block-storage.ts";
import { DEFAULT_TYPE_ID, type SnapshotRow, type VolumeRow } from "../store/tables.ts";

export const SIM_FACTS: BackendFacts = {
  driver: "sim",
  vendor: "Pileus",
  driverVersion: "1.0",
  protocol: "nbd",
  backend: "shared",
  backendState: "up",
  totalGiB: 100,
  freeGiB: 100,
  provisionedGiB: 0,
  reservedPercent: 0,
  thinProvisioning: false,
  replicationEnabled: false,
  replicationTargets: [],
  activeBackendId: null,
  frozen: false,
  volumes: 0,
  abilities: [],
};

/** Rows with everything in them; tests override what they are about. */

export function volumeRow(base: { id: string; project_id: string; now: number }): VolumeRow {
  return {
    id: base.id,
    project_id: base.project_id,
    user_id: "user-member",
    name: "data",
    description: null,
    status: "available",
    previous_status: null,
    attach_status: "detached",
    migration_status: null,
    replication_status: "disabled",
    size_gib: 1,
    type_id: DEFAULT_TYPE_ID,
    host: "host-1@shared#shared",
    cluster_name: null,
    zone: "nova",
    bootable: 0,
    multiattach: 0,
    encrypted: 0,
    shared_targets: 0,
    consumes_quota: 1,
    snapshot_id: null,
    source_volume_id: null,
    image_id: null,
    metadata: "{}",
    image_metadata: null,
    admin_metadata: "{}",
    group_id: null,
    provider_id: null,
    service_uuid: null,
    name_id: null,
    created_at: base.now,
    updated_at: null,
    launched_at: base.now,
    deleted_at: null,
  };
}

/** With the id of its volume. */
export function snapshotRow(volume: VolumeRow): SnapshotRow {
  return {
    id: volume.id,
    volume_id: volume.id,
    project_id: volume.project_id,
    user_id: volume.user_id,
    name: null,
    description: null,
    status: "available",
    progress: "100%",
    size_gib: volume.size_gib,
    type_id: volume.type_id,
    metadata: "{}",
    consumes_quota: 1,
    provider_id: null,
    created_at: volume.created_at,
    updated_at: null,
    deleted_at: null,
  };
}
