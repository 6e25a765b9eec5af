import { Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { type Route, route } from "../../../kernel/http/route.ts";

/** Alias → name. */
const EXTENSIONS: Readonly<Record<string, string>> = {
  capabilities: "Capabilities",
  "os-admin-actions": "AdminActions",
  "os-availability-zone": "AvailabilityZones",
  "os-extended-services": "ExtendedServices",
  "os-hosts": "Hosts",
  "os-quota-class-sets": "QuotaClasses",
  "os-quota-sets": "Quotas",
  "os-services": "Services",
  "os-types-extra-specs": "TypesExtraSpecs",
  "os-types-manage": "TypesManage",
  "os-used-limits": "UsedLimits",
  "os-vol-host-attr": "VolumeHostAttribute",
  "os-vol-mig-status-attr": "VolumeMigStatusAttribute",
  "os-vol-tenant-attr": "VolumeTenantAttribute",
  "os-volume-actions": "VolumeActions",
  "os-volume-manage": "VolumeManage",
  "os-volume-type-access": "VolumeTypeAccess",
  "os-volume-unmanage": "VolumeUnmanage",
  "scheduler-stats": "Scheduler_stats",
};

/** Resource → filters that its list takes since 3.31; OpenStack's built-in map. */
const FILTERS: Readonly<Record<string, readonly string[]>> = {
  volume: [
    "name",
    "status",
    "metadata",
    "bootable",
    "migration_status",
    "availability_zone",
    "group_id",
    "size",
    "created_at",
    "updated_at",
  ],
  snapshot: ["name", "status", "volume_id", "metadata", "availability_zone", "created_at", "updated_at"],
  attachment: ["volume_id", "status", "instance_id", "attach_status"],
  message: ["resource_uuid", "resource_type", "event_id", "request_id", "message_level"],
  pool: ["name", "volume_type"],
  volume_type: ["is_public"],
};

/** `/extensions`, `/resource_filters` */
export function extensionRoutes(): Route[] {
  return [
    route({
      name: "extensions.list",
      method: "GET",
      path: "/extensions",
      policy: "authenticated",
      handler() {
        return { body: { extensions: Object.keys(EXTENSIONS).map(view) } };
      },
    }),
    route({
      name: "extensions.show",
      method: "GET",
      path: "/extensions/:alias",
      policy: "authenticated",
      handler(request) {
        const alias = request.param("alias");
        if (Object.hasOwn(EXTENSIONS, alias)) return { body: { extension: view(alias) } };
        throw new CloudError("notFound", "block-storage.extension_not_found", `No extension ${alias}.`);
      },
    }),
    route({
      name: "resource-filters.list",
      method: "GET",
      path: "/resource_filters",
      minVersion: "3.33",
      policy: "authenticated",
      query: Type.Object({ resource: Type.Optional(Type.String()) }),
      handler(request) {
        const { resource } = request.query;
        const known = Object.entries(FILTERS).filter(([name]) => resource === undefined || name === resource);
        return { body: { resource_filters: known.map(([name, filters]) => ({ resource: name, filters })) } };
      },
    }),
  ];
}

function view(alias: string) {
  const name = EXTENSIONS[alias] ?? alias;
  return { alias, name, description: name, links: [], updated: "2016-02-18T00:00:00+00:00" };
}
