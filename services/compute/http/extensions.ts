import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { type Route, route } from "../../../kernel/http/route.ts";

const RULE = "os_compute_api:extensions";

/** Alias → name. Clients older than microversions look here for what the API can do. */
const EXTENSIONS: Readonly<Record<string, string>> = {
  NMN: "Multinic",
  "OS-DCF": "DiskConfig",
  "OS-EXT-AZ": "ExtendedAvailabilityZone",
  "OS-EXT-IPS": "ExtendedIps",
  "OS-EXT-IPS-MAC": "ExtendedIpsMac",
  "OS-EXT-SRV-ATTR": "ExtendedServerAttributes",
  "OS-EXT-STS": "ExtendedStatus",
  "OS-FLV-DISABLED": "FlavorDisabled",
  "OS-FLV-EXT-DATA": "FlavorExtraData",
  "OS-SCH-HNT": "SchedulerHints",
  "OS-SRV-USG": "ServerUsage",
  "os-admin-actions": "AdminActions",
  "os-aggregates": "Aggregates",
  "os-attach-interfaces": "AttachInterfaces",
  "os-availability-zone": "AvailabilityZone",
  "os-config-drive": "ConfigDrive",
  "os-console-output": "ConsoleOutput",
  "os-evacuate": "Evacuate",
  "os-flavor-access": "FlavorAccess",
  "os-flavor-extra-specs": "FlavorExtraSpecs",
  "os-flavor-manage": "FlavorManage",
  "os-flavor-rxtx": "FlavorRxtx",
  "os-flavor-swap": "FlavorSwap",
  "os-hosts": "Hosts",
  "os-hypervisors": "Hypervisors",
  "os-instance-actions": "InstanceActions",
  "os-keypairs": "Keypairs",
  "os-migrate-server": "MigrateServer",
  "os-migrations": "Migrations",
  "os-quota-class-sets": "QuotaClasses",
  "os-quota-sets": "Quotas",
  "os-remote-consoles": "Consoles",
  "os-security-groups": "SecurityGroups",
  "os-server-diagnostics": "ServerDiagnostics",
  "os-server-groups": "ServerGroups",
  "os-services": "Services",
  "os-simple-tenant-usage": "SimpleTenantUsage",
  "os-used-limits": "UsedLimits",
};

/** `/extensions` */
export function extensionRoutes(): Route[] {
  return [
    route({
      name: "extensions.list",
      method: "GET",
      path: "/extensions",
      policy: RULE,
      handler(request) {
        request.authorize(RULE);
        return { body: { extensions: Object.keys(EXTENSIONS).map(view) } };
      },
    }),
    route({
      name: "extensions.show",
      method: "GET",
      path: "/extensions/:alias",
      policy: RULE,
      handler(request) {
        request.authorize(RULE);
        const alias = request.param("alias");
        if (Object.hasOwn(EXTENSIONS, alias)) return { body: { extension: view(alias) } };
        throw new CloudError("notFound", "compute.extension_not_found", `No extension ${alias}.`);
      },
    }),
  ];
}

/** Namespace and date mean nothing any more; these are the ones that OpenStack sends for every extension. */
function view(alias: string) {
  const name = EXTENSIONS[alias] ?? alias;
  return {
    alias,
    name,
    description: name,
    links: [],
    namespace: "http://docs.openstack.org/compute/ext/fake_xml",
    updated: "2014-12-03T00:00:00Z",
  };
}
