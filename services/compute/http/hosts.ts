import { Type } from "typebox";
import { listServices } from "../../../kernel/fleet/services.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import { zonesOfHosts } from "../store/host-removal.ts";
import { useByProject } from "../store/host-use.ts";
import { getHost } from "../store/hosts.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { isListed, zoneOf } from "./service-view.ts";

const RULE = "os_compute_api:os-hosts";
const LAST_VERSION = "2.42";
const Text = Type.Optional(Type.String());

/** `/os-hosts`, which `openstack host` reads, up to 2.42. Its power actions are hypervisors' of the past, and not here. */
export function hostRoutes(deps: FaceDependencies): Route[] {
  const { store } = deps.kernel;
  return [
    route({
      name: "hosts.list",
      method: "GET",
      path: "/os-hosts",
      policy: `${RULE}:list`,
      maxVersion: LAST_VERSION,
      query: Type.Object({ service: Text, zone: Text }),
      async handler(request) {
        request.authorize(`${RULE}:list`);
        const { service, zone } = request.query;
        const zones = await zonesOfHosts(store.read);
        const hosts = (await listServices(store.read))
          .filter(isListed)
          .map((row) => ({
            host_name: row.host,
            service: row.binary_name.replace("nova-", ""),
            zone: zoneOf(row, zones),
          }))
          .filter((host) => (service ?? host.service) === host.service && (zone ?? host.zone) === host.zone);
        return { body: { hosts } };
      },
    }),
    route({
      name: "hosts.show",
      method: "GET",
      path: "/os-hosts/:host",
      policy: `${RULE}:show`,
      maxVersion: LAST_VERSION,
      async handler(request) {
        request.authorize(`${RULE}:show`);
        const host = await getHost(store.read, request.param("host"));
        const projects = await useByProject(store.read, host.host);
        const sum = (of: (use: (typeof projects)[number]) => number) => projects.reduce((all, use) => all + of(use), 0);
        const rows = [
          { project: "(total)", cpu: host.vcpus, memory_mb: host.ram_mib, disk_gb: host.disk_gib },
          { project: "(used_now)", cpu: host.vcpus_used, memory_mb: host.ram_used_mib, disk_gb: host.disk_used_gib },
          {
            project: "(used_max)",
            cpu: sum((use) => use.vcpus),
            memory_mb: sum((use) => use.ramMiB),
            disk_gb: sum((use) => use.diskGiB),
          },
          ...projects.map((use) => ({
            project: use.project,
            cpu: use.vcpus,
            memory_mb: use.ramMiB,
            disk_gb: use.diskGiB,
          })),
        ];
        return { body: { host: rows.map((row) => ({ resource: { host: host.host, ...row } })) } };
      },
    }),
  ];
}
