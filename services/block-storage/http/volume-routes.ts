import type { Route } from "../../../kernel/http/route.ts";
import { attachmentRoutes } from "./attachments.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { limitRoutes } from "./limits.ts";
import { manageableListRoutes } from "./manageable-list.ts";
import { messageRoutes } from "./messages.ts";
import { snapshotMetadataRoutes, volumeMetadataRoutes } from "./metadata-routes.ts";
import { quotaClassSetRoutes } from "./quota-class-sets.ts";
import { quotaSetRoutes } from "./quota-sets.ts";
import { snapshotActionRoutes } from "./snapshot-actions.ts";
import { snapshotRoutes } from "./snapshots.ts";
import { snapshotCreateRoute } from "./snapshots-create.ts";
import { typeAccessRoutes } from "./type-access.ts";
import { typeEncryptionRoutes } from "./type-encryption.ts";
import { typeExtraSpecRoutes } from "./type-extra-specs.ts";
import { typeRoutes } from "./types.ts";
import { volumeActionRoutes } from "./volume-actions.ts";
import { volumeCreateRoute } from "./volumes-create.ts";
import { volumeManageRoutes } from "./volumes-manage.ts";
import { volumeReads } from "./volumes-read.ts";
import { volumeWrites } from "./volumes-write.ts";

/** Everything that users have: volumes with what belongs to them, types and quotas. */
export function volumeRoutes(deps: FaceDependencies): Route[] {
  return [
    ...typeRoutes(deps),
    ...typeExtraSpecRoutes(deps),
    ...typeAccessRoutes(deps),
    ...typeEncryptionRoutes(deps),
    ...quotaSetRoutes(deps),
    ...quotaClassSetRoutes(deps),
    ...limitRoutes(deps),
    ...volumeReads(deps),
    volumeCreateRoute(deps),
    ...volumeWrites(deps),
    ...volumeManageRoutes(deps),
    ...manageableListRoutes(deps),
    ...volumeMetadataRoutes(deps),
    ...volumeActionRoutes(deps),
    ...snapshotRoutes(deps),
    snapshotCreateRoute(deps),
    ...snapshotMetadataRoutes(deps),
    ...snapshotActionRoutes(deps),
    ...attachmentRoutes(deps),
    ...messageRoutes(deps),
  ];
}
