import type { Selectable } from "kysely";
import type { Migration } from "../../../kernel/store/migrate.ts";
import type { ReplicationStatus } from "../domain/replication-state.ts";
import type { AttachStatus, MigrationStatus, SnapshotStatus, VolumeStatus } from "../domain/volume-state.ts";

/** Times are epoch milliseconds, sizes GiB, flags 0 or 1, JSON where a comment says so. */
export interface VolumeTable {
  id: string;
  project_id: string;
  user_id: string;
  name: string | null;
  description: string | null;
  status: VolumeStatus;
  /** What `status` was before an action that ends by restoring it, and before a failover made it `error`. */
  previous_status: VolumeStatus | null;
  attach_status: "attached" | "detached";
  migration_status: MigrationStatus | null;
  replication_status: ReplicationStatus | null;
  size_gib: number;
  type_id: string;
  /** `node@backend#pool`; null until it is scheduled. */
  host: string | null;
  /** `cluster@backend#pool` of a clustered backend: then commands go to the cluster, and any member may act. */
  cluster_name: string | null;
  zone: string;
  bootable: number;
  multiattach: number;
  encrypted: number;
  shared_targets: number | null;
  consumes_quota: number;
  snapshot_id: string | null;
  source_volume_id: string | null;
  /** Of the image that it was made from. */
  image_id: string | null;
  /** JSON objects of texts; the second is null when there was no image, the third is for our own use. */
  metadata: string;
  image_metadata: string | null;
  admin_metadata: string;
  group_id: string | null;
  provider_id: string | null;
  service_uuid: string | null;
  /** The volume whose data this one has since a migration; null when its own. */
  name_id: string | null;
  created_at: number;
  updated_at: number | null;
  launched_at: number | null;
  deleted_at: number | null;
}
export type VolumeRow = Selectable<VolumeTable>;

export interface SnapshotTable {
  id: string;
  volume_id: string;
  project_id: string;
  user_id: string;
  name: string | null;
  description: string | null;
  status: SnapshotStatus;
  /** Percent as OpenStack shows it: `40%`. */
  progress: string | null;
  size_gib: number;
  type_id: string;
  /** JSON object of texts. */
  metadata: string;
  consumes_quota: number;
  provider_id: string | null;
  created_at: number;
  updated_at: number | null;
  deleted_at: number | null;
}
export type SnapshotRow = Selectable<SnapshotTable>;

export interface VolumeTypeTable {
  id: string;
  name: string;
  description: string | null;
  is_public: number;
  /** JSON object of texts. */
  extra_specs: string;
  qos_specs_id: string | null;
  created_at: number;
  updated_at: number | null;
}
export type VolumeTypeRow = Selectable<VolumeTypeTable>;

export interface VolumeTypeAccessTable {
  type_id: string;
  project_id: string;
}

export interface AttachmentTable {
  id: string;
  volume_id: string;
  project_id: string;
  server_id: string | null;
  /** Null: reserved, not connected. */
  attached_host: string | null;
  mountpoint: string | null;
  attach_mode: "rw" | "ro" | null;
  attach_status: AttachStatus;
  /** JSON objects; null until the attachment is updated. */
  connector: string | null;
  connection_info: string | null;
  attached_at: number | null;
  detached_at: number | null;
  /** Compute's own: only Compute detaches it, from inside the guest. */
  held_by_compute: number;
  created_at: number;
  updated_at: number | null;
}
export type AttachmentRow = Selectable<AttachmentTable>;

/** Only what differs from the defaults; `resource` is `volumes`, `gigabytes_<type>`, … */
export interface VolumeQuotaTable {
  project_id: string;
  resource: string;
  hard_limit: number;
}

/** What users are told about failures of accepted requests (`/messages`). */
export interface VolumeMessageTable {
  id: string;
  project_id: string;
  request_id: string | null;
  resource_type: string;
  resource_id: string | null;
  event_id: string;
  message_level: string;
  user_message: string;
  created_at: number;
  expires_at: number;
}
export type VolumeMessageRow = Selectable<VolumeMessageTable>;

/** What Block Storage knows of a `cinder-volume` record besides the fleet's (disabled, reason, heartbeat): one row each. */
export interface BackendTable {
  /** `node@backend`, the host of the service record. */
  host: string;
  node: string;
  backend: string;
  /** `cluster@backend`. */
  cluster: string | null;
  frozen: number;
  replication_status: ReplicationStatus;
  /** Null: never failed over. Empty: failed back. */
  active_backend_id: string | null;
  /** JSON of the facts that its agent announced last. */
  facts: string;
  created_at: number;
  updated_at: number;
}
export type BackendRow = Selectable<BackendTable>;

/** A cluster of cinder-volume services. Its flags alone count for scheduling its members' backend. */
export interface ClusterTable {
  /** `cluster@backend` */
  name: string;
  disabled: number;
  disabled_reason: string | null;
  frozen: number;
  replication_status: ReplicationStatus;
  active_backend_id: string | null;
  created_at: number;
  updated_at: number | null;
}
export type ClusterRow = Selectable<ClusterTable>;

export interface BlockStorageTables {
  volumes: VolumeTable;
  volume_snapshots: SnapshotTable;
  volume_types: VolumeTypeTable;
  volume_type_access: VolumeTypeAccessTable;
  volume_attachments: AttachmentTable;
  volume_quotas: VolumeQuotaTable;
  volume_messages: VolumeMessageTable;
  volume_backends: BackendTable;
  volume_clusters: ClusterTable;
}

/** Id of the type `__DEFAULT__`, which always exists: the same in every cloud, so that several processes make one. */
export const DEFAULT_TYPE_ID = "00000000-0000-4000-8000-00000000de1f";

export const blockStorageMigrations: readonly Migration[] = [
  {
    name: "block-storage-0001-volumes",
    statements: [
      `CREATE TABLE volumes (
        id text PRIMARY KEY, project_id text NOT NULL, user_id text NOT NULL, name text, description text, status text NOT NULL,
        previous_status text, attach_status text NOT NULL, migration_status text, replication_status text, size_gib bigint NOT NULL,
        type_id text NOT NULL, host text, cluster_name text, zone text NOT NULL, bootable bigint NOT NULL, multiattach bigint NOT NULL,
        encrypted bigint NOT NULL, shared_targets bigint, consumes_quota bigint NOT NULL, snapshot_id text, source_volume_id text,
        image_id text, metadata text NOT NULL, image_metadata text, admin_metadata text NOT NULL, group_id text, provider_id text,
        service_uuid text, name_id text, created_at bigint NOT NULL, updated_at bigint, launched_at bigint, deleted_at bigint)`,
      "CREATE INDEX volumes_of_project ON volumes (project_id, created_at, id) WHERE deleted_at IS NULL",
      "CREATE INDEX volumes_by_age ON volumes (created_at, id) WHERE deleted_at IS NULL",
      "CREATE INDEX volumes_on_host ON volumes (host) WHERE deleted_at IS NULL",
      "CREATE INDEX volumes_in_cluster ON volumes (cluster_name) WHERE deleted_at IS NULL AND cluster_name IS NOT NULL",
      `CREATE TABLE volume_snapshots (
        id text PRIMARY KEY, volume_id text NOT NULL, project_id text NOT NULL, user_id text NOT NULL, name text, description text,
        status text NOT NULL, progress text, size_gib bigint NOT NULL, type_id text NOT NULL, metadata text NOT NULL,
        consumes_quota bigint NOT NULL, provider_id text, created_at bigint NOT NULL, updated_at bigint, deleted_at bigint)`,
      "CREATE INDEX volume_snapshots_of_volume ON volume_snapshots (volume_id) WHERE deleted_at IS NULL",
      "CREATE INDEX volume_snapshots_of_project ON volume_snapshots (project_id, created_at, id) WHERE deleted_at IS NULL",
      `CREATE TABLE volume_types (
        id text PRIMARY KEY, name text NOT NULL UNIQUE, description text, is_public bigint NOT NULL, extra_specs text NOT NULL,
        qos_specs_id text, created_at bigint NOT NULL, updated_at bigint)`,
      "CREATE TABLE volume_type_access (type_id text NOT NULL, project_id text NOT NULL, PRIMARY KEY (type_id, project_id))",
      `INSERT INTO volume_types (id, name, description, is_public, extra_specs, created_at)
        VALUES ('${DEFAULT_TYPE_ID}', '__DEFAULT__', 'Default Volume Type', 1, '{}', 0)`,
      `CREATE TABLE volume_attachments (
        id text PRIMARY KEY, volume_id text NOT NULL, project_id text NOT NULL, server_id text, attached_host text, mountpoint text,
        attach_mode text, attach_status text NOT NULL, connector text, connection_info text, attached_at bigint, detached_at bigint,
        created_at bigint NOT NULL, updated_at bigint)`,
      "CREATE INDEX volume_attachments_of_volume ON volume_attachments (volume_id)",
      "CREATE INDEX volume_attachments_of_server ON volume_attachments (server_id)",
      "CREATE TABLE volume_quotas (project_id text NOT NULL, resource text NOT NULL, hard_limit bigint NOT NULL, PRIMARY KEY (project_id, resource))",
      `CREATE TABLE volume_messages (
        id text PRIMARY KEY, project_id text NOT NULL, request_id text, resource_type text NOT NULL, resource_id text,
        event_id text NOT NULL, message_level text NOT NULL, user_message text NOT NULL, created_at bigint NOT NULL,
        expires_at bigint NOT NULL)`,
      "CREATE INDEX volume_messages_of_project ON volume_messages (project_id, created_at, id)",
      `CREATE TABLE volume_backends (
        host text PRIMARY KEY, node text NOT NULL, backend text NOT NULL, cluster text, frozen bigint NOT NULL,
        replication_status text NOT NULL, active_backend_id text, facts text NOT NULL, created_at bigint NOT NULL,
        updated_at bigint NOT NULL)`,
      "CREATE INDEX volume_backends_of_cluster ON volume_backends (cluster)",
      `CREATE TABLE volume_clusters (
        name text PRIMARY KEY, disabled bigint NOT NULL, disabled_reason text, frozen bigint NOT NULL,
        replication_status text NOT NULL, active_backend_id text, created_at bigint NOT NULL, updated_at bigint)`,
    ],
  },
  {
    name: "block-storage-0002-held-attachments",
    statements: ["ALTER TABLE volume_attachments ADD COLUMN held_by_compute bigint NOT NULL DEFAULT 0"],
  },
];
