import type { VolumeRow } from "./tables.ts";

/** A volume that is only wanted so far: in `creating`, nowhere, without size. */
export function newVolumeRow(
  made: Pick<VolumeRow, "id" | "project_id" | "user_id" | "type_id" | "zone" | "created_at">,
): VolumeRow {
  return {
    ...made,
    name: null,
    description: null,
    status: "creating",
    previous_status: null,
    attach_status: "detached",
    migration_status: null,
    replication_status: null,
    size_gib: 0,
    host: null,
    cluster_name: null,
    bootable: 0,
    multiattach: 0,
    encrypted: 0,
    shared_targets: null,
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
    updated_at: null,
    launched_at: null,
    deleted_at: null,
  };
}
