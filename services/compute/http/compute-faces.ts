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
import { addressRoutes } from "./addresses.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { computeFace, legacyFace } from "./face.ts";
import { instanceActionRoutes } from "./instance-actions.ts";
import { interfaceRoutes } from "./interfaces.ts";
import { legacyRoutes } from "./legacy.ts";
import { metadataRoutes } from "./metadata.ts";
import { migrationRoutes } from "./migrations.ts";
import { remoteConsoleRoute, serialConsoleAction } from "./remote-consoles.ts";
import { resourceRoutes } from "./resource-routes.ts";
import { securityGroupActions, securityGroupRoutes } from "./security-groups.ts";
import { diagnosticsRoutes } from "./server-diagnostics.ts";
import { serverMigrationRoutes } from "./server-migrations.ts";
import { serverCreate } from "./servers-create.ts";
import { serverReads } from "./servers-read.ts";
import { forceDeleteAction, serverWrites } from "./servers-write.ts";
import { tagRoutes } from "./tags.ts";
import { currentVersion, legacyVersion, versionList } from "./version-documents.ts";
import { volumeAttachmentRoutes } from "./volume-attachments.ts";
import { whenSettled } from "./when-settled.ts";

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
        ...securityGroupActions(deps),
        migrateAction(deps),
        liveMigrateAction(deps),
        evacuateAction(deps),
        consoleOutputAction(deps),
        serialConsoleAction(deps),
        forceDeleteAction(deps),
      ].map((each) => whenSettled(deps, each)),
    }),
    ...metadataRoutes(deps),
    ...tagRoutes(deps),
    ...addressRoutes(deps),
    ...diagnosticsRoutes(deps),
    ...interfaceRoutes(deps),
    ...securityGroupRoutes(deps),
    ...volumeAttachmentRoutes(deps),
    remoteConsoleRoute(deps),
    ...instanceActionRoutes(deps),
    ...migrationRoutes(deps),
    ...serverMigrationRoutes(deps),
  ];
}
