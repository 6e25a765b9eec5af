import { createHash } from "node:crypto";
import { isoMicros, isoSeconds } from "../../../kernel/clock/clock.ts";
import type { Urls } from "../../../kernel/http/urls.ts";
import type { ServerAddresses } from "../../network/public.ts";
import { statusOf } from "../domain/server-state.ts";
import { instanceName } from "../guest-spec.ts";
import { flavorOf } from "../store/servers.ts";
import type { FlavorSnapshot, ServerRow, StoredFault } from "../store/tables.ts";

export type Json = Record<string, unknown>;

export interface Link {
  readonly rel: string;
  readonly href: string;
}

/** What a server's representation holds beside its row. */
export interface ServerFacts {
  readonly addresses: ServerAddresses;
  /** Undefined: the server has no ports yet; the groups that it asked for count. */
  readonly securityGroups: readonly string[] | undefined;
  /** `UP`, `DOWN`, `MAINTENANCE`, `UNKNOWN` or empty. */
  readonly hostStatus: string;
  /** 0–100. */
  readonly progress: number;
  /** In the order of their devices. */
  readonly volumes: readonly AttachedVolume[];
  /** Undefined in lists. */
  readonly groups: readonly string[] | undefined;
}

export interface AttachedVolume {
  readonly id: string;
  readonly delete_on_termination: boolean;
}

/** What the reader may see beyond the common. */
export interface ServerVisibility {
  readonly extendedAttributes: boolean;
  readonly hostStatus: "all" | "unknownOnly" | "none";
  readonly extraSpecs: boolean;
  readonly isAdmin: boolean;
}

/** The newest shape, and what older shapes need besides. */
export interface ServerAnswer {
  readonly server: Json;
  readonly flavorReference: { readonly id: string; readonly links: readonly Link[] };
}

const WITH_PROGRESS = ["ACTIVE", "BUILD", "REBUILD", "RESIZE", "VERIFY_RESIZE", "MIGRATING"];
const WITH_FAULT = ["ERROR", "DELETED"];

/** Lower-case hex; empty without a host. */
export function hostIdOf(projectId: string, host: string | null): string {
  return host === null
    ? ""
    : createHash("sha224")
        .update(projectId + host)
        .digest("hex");
}

export function linksOf(urls: Urls, path: string): Link[] {
  return [
    { rel: "self", href: urls.self(path) },
    { rel: "bookmark", href: urls.bookmark(path) },
  ];
}

/** The short form of lists. */
export function serverSummary(row: Pick<ServerRow, "id" | "name">, urls: Urls): Json {
  return { id: row.id, name: row.name, links: linksOf(urls, `/servers/${row.id}`) };
}

export function serverAnswer(row: ServerRow, facts: ServerFacts, sees: ServerVisibility, urls: Urls): ServerAnswer {
  const flavor = flavorOf(row);
  const status = statusOf(row.vm_state, row.task_state);
  const groups = facts.securityGroups ?? (JSON.parse(row.security_groups) as string[]);
  return {
    server: {
      id: row.id,
      name: row.name,
      status,
      tenant_id: row.project_id,
      user_id: row.user_id,
      metadata: JSON.parse(row.metadata),
      hostId: hostIdOf(row.project_id, row.host),
      image: imageView(row, urls),
      flavor: flavorView(flavor, sees.extraSpecs),
      created: isoSeconds(row.created_at),
      updated: isoSeconds(row.updated_at),
      addresses: facts.addresses,
      accessIPv4: row.access_ipv4 ?? "",
      accessIPv6: row.access_ipv6 ?? "",
      links: linksOf(urls, `/servers/${row.id}`),
      "OS-DCF:diskConfig": row.disk_config,
      ...(WITH_PROGRESS.includes(status) ? { progress: facts.progress } : {}),
      ...faultView(row, status, sees.isAdmin),
      "OS-EXT-AZ:availability_zone": row.zone ?? "",
      config_drive: row.config_drive === 0 ? "" : "True",
      key_name: row.key_name,
      "OS-SRV-USG:launched_at": row.launched_at === null ? null : isoMicros(row.launched_at),
      "OS-SRV-USG:terminated_at": row.deleted_at === null ? null : isoMicros(row.deleted_at),
      ...(groups.length > 0 ? { security_groups: groups.map((name) => ({ name })) } : {}),
      ...(sees.extendedAttributes ? extendedAttributes(row) : {}),
      "OS-EXT-SRV-ATTR:hostname": row.hostname,
      "OS-EXT-STS:task_state": row.task_state,
      "OS-EXT-STS:vm_state": row.vm_state,
      "OS-EXT-STS:power_state": row.power_state,
      "os-extended-volumes:volumes_attached": facts.volumes,
      locked: row.locked === 1,
      ...hostStatusView(facts.hostStatus, sees.hostStatus),
      description: row.description,
      tags: JSON.parse(row.tags),
      trusted_image_certificates: null,
      ...(facts.groups ? { server_groups: facts.groups } : {}),
      locked_reason: row.locked_reason,
      pinned_availability_zone: row.requested_zone,
      scheduler_hints: JSON.parse(row.scheduler_hints),
    },
    flavorReference: { id: flavor.id, links: [{ rel: "bookmark", href: urls.bookmark(`/flavors/${flavor.id}`) }] },
  };
}

function flavorView(flavor: FlavorSnapshot, extraSpecs: boolean): Json {
  return {
    original_name: flavor.name,
    vcpus: flavor.vcpus,
    ram: flavor.ramMiB,
    disk: flavor.diskGiB,
    ephemeral: flavor.ephemeralGiB,
    swap: flavor.swapMiB,
    ...(extraSpecs ? { extra_specs: flavor.extraSpecs } : {}),
  };
}

function imageView(row: ServerRow, urls: Urls): unknown {
  if (row.image_id === "") return "";
  return {
    id: row.image_id,
    links: [{ rel: "bookmark", href: urls.bookmark(`/images/${row.image_id}`) }],
    properties: JSON.parse(row.image_properties),
  };
}

function extendedAttributes(row: ServerRow): Json {
  const properties = JSON.parse(row.image_properties) as Record<string, string | undefined>;
  return {
    "OS-EXT-SRV-ATTR:host": row.host,
    "OS-EXT-SRV-ATTR:hypervisor_hostname": row.host,
    "OS-EXT-SRV-ATTR:instance_name": instanceName(row),
    "OS-EXT-SRV-ATTR:kernel_id": properties.kernel_id ?? "",
    "OS-EXT-SRV-ATTR:ramdisk_id": properties.ramdisk_id ?? "",
    "OS-EXT-SRV-ATTR:launch_index": row.launch_index,
    "OS-EXT-SRV-ATTR:reservation_id": row.reservation_id,
    "OS-EXT-SRV-ATTR:root_device_name": "/dev/vda",
    "OS-EXT-SRV-ATTR:user_data": row.user_data,
  };
}

function hostStatusView(status: string, sees: ServerVisibility["hostStatus"]): Json {
  if (sees === "all" || (sees === "unknownOnly" && status === "UNKNOWN")) return { host_status: status };
  return {};
}

function faultView(row: ServerRow, status: string, isAdmin: boolean): Json {
  if (row.fault === null || !WITH_FAULT.includes(status)) return {};
  const fault = JSON.parse(row.fault) as StoredFault;
  const details = fault.details !== null && (isAdmin || fault.code !== 500) ? { details: fault.details } : {};
  return {
    fault: { code: fault.code, created: isoSeconds(fault.created), message: fault.message, ...details },
  };
}
