import { Moment } from "../../../kernel/clock/moment.ts";
import { isUpAt, listServices } from "../../../kernel/fleet/services.ts";
import type { ServiceRow } from "../../../kernel/fleet/tables.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import { zonesOfHosts } from "../store/host-removal.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { isListed, updatedAt, zoneOf } from "./service-view.ts";

const RULE = "os_compute_api:os-availability-zone";

interface Zone {
  readonly name: string;
  /** Enabled services only; a zone without any is not available. */
  readonly services: ServiceRow[];
}

/** `/os-availability-zone` */
export function availabilityZoneRoutes(deps: FaceDependencies): Route[] {
  const { store, clock } = deps.kernel;
  return [
    route({
      name: "availability-zones.list",
      method: "GET",
      path: "/os-availability-zone",
      policy: `${RULE}:list`,
      async handler(request) {
        request.authorize(`${RULE}:list`, { project_id: request.context.projectId });
        const zones = (await readZones()).filter(({ name }) => name !== "internal");
        return { body: { availabilityZoneInfo: zones.map((zone) => zoneView(zone, null)) } };
      },
    }),
    route({
      name: "availability-zones.detail",
      method: "GET",
      path: "/os-availability-zone/detail",
      policy: `${RULE}:detail`,
      async handler(request) {
        request.authorize(`${RULE}:detail`);
        const zones = await readZones();
        const moment = new Moment(clock.now());
        const isAlive = (row: ServiceRow) => isUpAt(row, moment, deps.fleet);
        const views = zones.map((zone) =>
          zoneView(zone, zone.services.length === 0 ? null : hostsOf(zone.services, isAlive)),
        );
        return { body: { availabilityZoneInfo: views } };
      },
    }),
  ];

  /** By name, those that can be used first. */
  async function readZones(): Promise<Zone[]> {
    const services = (await listServices(store.read)).filter(isListed);
    const zones = await zonesOfHosts(store.read);
    const byName = new Map<string, ServiceRow[]>();
    for (const row of services) {
      const name = zoneOf(row, zones);
      const enabled = byName.get(name) ?? [];
      if (row.disabled === 0) enabled.push(row);
      byName.set(name, enabled);
    }
    const sorted = [...byName].map(([name, rows]) => ({ name, services: rows })).sort(byNameOrder);
    const [usable, others] = [sorted.filter(isAvailable), sorted.filter((zone) => !isAvailable(zone))];
    return [...usable, ...others];
  }
}

function byNameOrder(a: Zone, b: Zone): number {
  return a.name < b.name ? -1 : 1;
}

function isAvailable({ services }: Zone): boolean {
  return services.length > 0;
}

function zoneView(zone: Zone, hosts: Record<string, unknown> | null) {
  return { zoneName: zone.name, zoneState: { available: isAvailable(zone) }, hosts };
}

/** Host → binary → how it is. */
function hostsOf(services: readonly ServiceRow[], up: (row: ServiceRow) => boolean): Record<string, unknown> {
  const binaries = (rows: readonly ServiceRow[]) =>
    rows.map((row) => [row.binary_name, { active: true, available: up(row), updated_at: updatedAt(row) }] as const);
  const hosts = Map.groupBy(services, (row) => row.host);
  return Object.fromEntries([...hosts].map(([host, rows]) => [host, Object.fromEntries(binaries(rows))]));
}
