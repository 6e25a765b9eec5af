import { Type } from "typebox";
import { Moment } from "../../../kernel/clock/moment.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import { placeMatches } from "../domain/place.ts";
import { usageByProject } from "../store/host-usage.ts";
import { listVolumeServices } from "../store/services.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { stateOf, updatedAt, zoneOf } from "./service-view.ts";

const RULE = "volume_extension:hosts";

/** `/os-hosts`. Its PUT was never implemented in OpenStack, and is not here. */
export function hostRoutes(deps: FaceDependencies): Route[] {
  const { store, clock } = deps.kernel;
  return [
    route({
      name: "hosts.list",
      method: "GET",
      path: "/os-hosts",
      policy: RULE,
      query: Type.Object({ zone: Type.Optional(Type.String()) }),
      async handler(request) {
        request.authorize(RULE);
        const { zone } = request.query;
        const services = (await listVolumeServices(store.read)).filter(
          ({ record }) => record.disabled === 0 && (zone === undefined || zoneOf(record, deps) === zone),
        );
        const moment = new Moment(clock.now());
        const hosts = services.map(({ record }) => ({
          host_name: record.host,
          service: record.binary_name,
          zone: zoneOf(record, deps),
          "service-status": stateOf(record, moment, deps) === "up" ? "available" : "unavailable",
          "service-state": "enabled",
          "last-update": updatedAt(record),
        }));
        return { body: { hosts } };
      },
    }),
    route({
      name: "hosts.show",
      method: "GET",
      path: "/os-hosts/:host",
      policy: RULE,
      async handler(request) {
        request.authorize(RULE);
        const host = request.param("host");
        const known = (await listVolumeServices(store.read)).some(({ record }) => placeMatches(host, record.host));
        if (!known) {
          throw new CloudError("notFound", "block-storage.host_not_found", `Host ${host} could not be found.`);
        }
        const rows = await usageByProject(store.read, host);
        const total = { project: "(total)", volumes: 0, volumeGiB: 0, snapshots: 0, snapshotGiB: 0 };
        for (const row of rows) {
          total.volumes += row.volumes;
          total.volumeGiB += row.volumeGiB;
          total.snapshots += row.snapshots;
          total.snapshotGiB += row.snapshotGiB;
        }
        return {
          body: {
            host: [total, ...rows].map((row) => ({
              resource: {
                host,
                project: row.project,
                volume_count: String(row.volumes),
                total_volume_gb: String(row.volumeGiB),
                snapshot_count: String(row.snapshots),
                total_snapshot_gb: String(row.snapshotGiB),
              },
            })),
          },
        };
      },
    }),
  ];
}
