import { isUp } from "../../../kernel/fleet/services.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import { listVolumeServices, VOLUME_BINARY } from "../store/services.ts";
import type { FaceDependencies } from "./dependencies.ts";

/** `/os-availability-zone`: zones of volume services; one is available while a service in it lives and is enabled. */
export function availabilityZoneRoutes(deps: FaceDependencies): Route[] {
  const { store, clock } = deps.kernel;
  return [
    route({
      name: "availability-zones.list",
      method: "GET",
      path: "/os-availability-zone",
      policy: "authenticated",
      async handler() {
        const zones = new Map<string, boolean>();
        for (const { record } of await listVolumeServices(store.read, { binary: VOLUME_BINARY })) {
          const usable = record.disabled === 0 && isUp(record, clock.now(), deps.fleet);
          zones.set(record.zone, (zones.get(record.zone) ?? false) || usable);
        }
        const sorted = [...zones].toSorted(([a, usableA], [b, usableB]) =>
          usableA === usableB ? (a < b ? -1 : 1) : usableA ? -1 : 1,
        );
        const view = ([zoneName, available]: [string, boolean]) => ({ zoneName, zoneState: { available } });
        return { body: { availabilityZoneInfo: sorted.map(view) } };
      },
    }),
  ];
}
