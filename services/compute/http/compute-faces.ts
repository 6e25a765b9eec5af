import { actionRoute, type Route } from "../../../kernel/http/route.ts";
import type { ServedFace } from "../../../kernel/http/server.ts";
import { adminActions } from "./actions-admin.ts";
import { consoleOutputAction } from "./actions-console.ts";
import { evacuateAction } from "./actions-evacuate.ts";
import { liveMigrateAction } from "./actions-live-migrate.ts";
import { lockActions } from "./actions-lock.ts";
import { migrateAction } from "./actions-migrate.ts";
import { powerActions } from "./actions-power.ts";
import { resizeActions } from "./actions-resize.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { computeFace, legacyFace } from "./face.ts";
import { hypervisorRoutes } from "./hypervisors.ts";
import { instanceActionRoutes } from "./instance-actions.ts";
import { legacyRoutes } from "./legacy.ts";
import { migrationRoutes } from "./migrations.ts";
import { serverMigrationRoutes } from "./server-migrations.ts";
import { resourceRoutes } from "./resource-routes.ts";
import { serverCreate } from "./servers-create.ts";
import { serverReads } from "./servers-read.ts";
import { forceDeleteAction, serverWrites } from "./servers-write.ts";
import { serviceRoutes } from "./services.ts";
import { currentVersion, legacyVersion, versionList } from "./version-documents.ts";

/** `/compute/v2.1` and its legacy alias `/compute/v2`. */
export function computeFaces(deps: FaceDependencies): ServedFace[] {
  const routes = apiRoutes(deps);
  return [
    { face: computeFace, routes: [versionList, currentVersion, ...routes] },
    { face: legacyFace, routes: [legacyVersion, ...legacyRoutes(routes)] },
  ];
}

function apiRoutes(deps: FaceDependencies): Route[] {
  return [
    ...resourceRoutes(deps),
    ...serverReads(deps),
    serverCreate(deps),
    ...serverWrites(deps),
    actionRoute({
      name: "servers.action",
      path: "/servers/:id/action",
      actions: [
        ...powerActions(deps),
        ...lockActions(deps),
        ...resizeActions(deps),
        ...adminActions(deps),
        migrateAction(deps),
        liveMigrateAction(deps),
        evacuateAction(deps),
        consoleOutputAction(deps),
        forceDeleteAction(deps),
      ],
    }),
    ...instanceActionRoutes(deps),
    ...migrationRoutes(deps),
    ...serverMigrationRoutes(deps),
    ...serviceRoutes(deps),
    ...hypervisorRoutes(deps),
  ];
}
