import { isoMicros } from "../../../kernel/clock/clock.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import type { Urls } from "../../../kernel/http/urls.ts";
import { versionSteps } from "../../../kernel/http/version-steps.ts";
import { shownStatus } from "../domain/volume-state.ts";
import type { AttachmentRow, VolumeRow } from "../store/tables.ts";
import type { ListedVolume } from "../store/volume-lists.ts";
import { shownMetadata } from "./attachment-view.ts";

/** Rules that decide what of a volume is seen. */
export const VOLUME_VIEW_RULES = [
  "volume_extension:volume_host_attribute",
  "volume_extension:volume_mig_status_attribute",
  "volume_extension:volume_tenant_attribute",
] as const;

export type VolumeView = Record<string, unknown>;
export type AskingVolume = Pick<ApiRequest, "context" | "check" | "urls" | "version">;

/** What of the volumes of one project the asker sees. */
export interface VolumeVisibility {
  readonly admin: boolean;
  readonly host: boolean;
  readonly migration: boolean;
  readonly tenant: boolean;
}

export function visibilityOf(request: AskingVolume, volume: Pick<VolumeRow, "project_id">): VolumeVisibility {
  const target = { project_id: volume.project_id };
  return {
    admin: request.context.isAdmin,
    host: request.check("volume_extension:volume_host_attribute", target),
    migration: request.check("volume_extension:volume_mig_status_attribute", target),
    tenant: request.check("volume_extension:volume_tenant_attribute", target),
  };
}

/** Nothing of what extensions add: the answer to who has just made or changed the volume. */
export function plainVisibility({ context }: Pick<ApiRequest, "context">): VolumeVisibility {
  return { admin: context.isAdmin, host: false, migration: false, tenant: false };
}

export function linksOf(urls: Urls, path: string) {
  return [
    { rel: "self", href: urls.self(path) },
    { rel: "bookmark", href: urls.bookmark(path) },
  ];
}

export function volumeSummary(volume: Pick<VolumeRow, "id" | "name">, urls: Urls): VolumeView {
  return { id: volume.id, name: volume.name, links: linksOf(urls, `/volumes/${volume.id}`) };
}

/** A volume as the asker's version shows it. */
export function volumeView(
  request: AskingVolume,
  volume: ListedVolume,
  attachments: readonly AttachmentRow[],
  sees: VolumeVisibility,
): VolumeView {
  return volumeVersions.down(request.version, newestView(request.urls, volume, attachments, sees));
}

function newestView(
  urls: Urls,
  volume: ListedVolume,
  attachments: readonly AttachmentRow[],
  sees: VolumeVisibility,
): VolumeView {
  const view: VolumeView = {
    id: volume.id,
    name: volume.name,
    description: volume.description,
    status: shownStatus(volume.status),
    size: volume.size_gib,
    availability_zone: volume.zone,
    created_at: isoMicros(volume.created_at),
    updated_at: volume.updated_at === null ? null : isoMicros(volume.updated_at),
    volume_type: volume.type_name,
    volume_type_id: volume.type_id,
    snapshot_id: volume.snapshot_id,
    source_volid: volume.source_volume_id,
    metadata: shownMetadata(volume),
    links: linksOf(urls, `/volumes/${volume.id}`),
    user_id: volume.user_id,
    bootable: volume.bootable === 1 ? "true" : "false",
    encrypted: volume.encrypted === 1,
    replication_status: volume.replication_status,
    consistencygroup_id: null,
    multiattach: volume.multiattach === 1,
    attachments: attachments.map((row) => attachmentView(row, sees.host)),
    group_id: volume.group_id,
    service_uuid: volume.service_uuid,
    shared_targets: volume.shared_targets === null ? null : volume.shared_targets === 1,
    consumes_quota: volume.consumes_quota === 1,
  };
  if (volume.image_metadata !== null) view.volume_image_metadata = JSON.parse(volume.image_metadata);
  if (sees.admin) {
    view.migration_status = volume.migration_status;
    view.provider_id = volume.provider_id;
    view.cluster_name = volume.cluster_name;
  }
  if (sees.host) view["os-vol-host-attr:host"] = volume.host;
  if (sees.migration) {
    view["os-vol-mig-status-attr:migstat"] = volume.migration_status;
    view["os-vol-mig-status-attr:name_id"] = volume.name_id;
  }
  if (sees.tenant) view["os-vol-tenant-attr:tenant_id"] = volume.project_id;
  return view;
}

function attachmentView(row: AttachmentRow, showHost: boolean) {
  return {
    id: row.volume_id,
    attachment_id: row.id,
    volume_id: row.volume_id,
    server_id: row.server_id,
    host_name: showHost ? row.attached_host : null,
    device: row.mountpoint,
    attached_at: row.attached_at === null ? null : isoMicros(row.attached_at),
  };
}

/** Each microversion that added to how a volume looks. */
const volumeVersions = versionSteps<VolumeView>([
  { since: "3.13", name: "group", down: (volume) => void delete volume.group_id },
  { since: "3.21", name: "provider_id", down: (volume) => void delete volume.provider_id },
  {
    since: "3.48",
    name: "service_uuid and shared_targets",
    down(volume) {
      delete volume.service_uuid;
      delete volume.shared_targets;
    },
  },
  { since: "3.61", name: "cluster_name", down: (volume) => void delete volume.cluster_name },
  { since: "3.63", name: "volume_type_id", down: (volume) => void delete volume.volume_type_id },
  { since: "3.65", name: "consumes_quota", down: (volume) => void delete volume.consumes_quota },
  {
    since: "3.69",
    name: "shared_targets may be null",
    down(volume) {
      if (volume.shared_targets === null) volume.shared_targets = true;
    },
  },
]);
