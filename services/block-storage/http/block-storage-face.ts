import { healthcheckRoutes } from "../../../kernel/http/healthcheck.ts";
import type { Route } from "../../../kernel/http/route.ts";
import type { ServedFace } from "../../../kernel/http/server.ts";
import { availabilityZoneRoutes } from "./availability-zones.ts";
import { clusterRoutes } from "./clusters.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { extensionRoutes } from "./extensions.ts";
import { blockStorageFace } from "./face.ts";
import { hostRoutes } from "./hosts.ts";
import { schedulerStatsRoutes } from "./scheduler-stats.ts";
import { serviceFailoverRoutes } from "./service-failover.ts";
import { serviceFreezeRoutes } from "./service-freeze.ts";
import { serviceLogRoutes } from "./service-logs.ts";
import { serviceSwitchRoutes } from "./service-switches.ts";
import { serviceRoutes } from "./services.ts";
import { currentVersion, versionList } from "./version-documents.ts";
import { volumeRoutes } from "./volume-routes.ts";
import { workerRoutes } from "./workers.ts";

/** `/volume/v3`, with and without the project's id in the path. */
export function blockStorageFaces(deps: FaceDependencies): ServedFace[] {
  return [
    { face: blockStorageFace, routes: [versionList, currentVersion, ...healthcheckRoutes(), ...apiRoutes(deps)] },
  ];
}

function apiRoutes(deps: FaceDependencies): Route[] {
  return [
    ...serviceRoutes(deps),
    ...serviceSwitchRoutes(deps),
    ...serviceFreezeRoutes(deps),
    ...serviceFailoverRoutes(deps),
    ...serviceLogRoutes(deps),
    ...clusterRoutes(deps),
    ...workerRoutes(deps),
    ...schedulerStatsRoutes(deps),
    ...hostRoutes(deps),
    ...availabilityZoneRoutes(deps),
    ...extensionRoutes(),
    ...volumeRoutes(deps),
  ];
}
