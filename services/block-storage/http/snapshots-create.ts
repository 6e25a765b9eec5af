import { Type } from "typebox";
import { type Route, route } from "../../../kernel/http/route.ts";
import { invalidVolume, isMigrating } from "../domain/can-volume.ts";
import { insertSnapshot } from "../store/snapshots.ts";
import type { SnapshotRow } from "../store/tables.ts";
import { demandOf, reserveQuota } from "../store/volume-quotas.ts";
import { lockVolume, volumeNotFound } from "../store/volumes.ts";
import { Bool, isTrue } from "./booleans.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { mustNotBeFrozen } from "./remove-volume.ts";
import { TextOrNull, VolumeMetadata } from "./schemas.ts";
import { snapshotSummary, snapshotVersions } from "./snapshot-view.ts";
import { knownVolume, ruleTarget } from "./volume-lookup.ts";

const CREATE = "volume:create_snapshot";
const text = Type.Optional(TextOrNull);

const Body = Type.Object({
  snapshot: Type.Object({
    volume_id: Type.String({ format: "uuid-like" }),
    name: text,
    display_name: text,
    description: text,
    display_description: text,
    force: Type.Optional(Type.Union([Bool, Type.Null()])),
    metadata: Type.Optional(Type.Union([VolumeMetadata, Type.Null()])),
  }),
});

/** `POST /snapshots` */
export function snapshotCreateRoute(deps: FaceDependencies): Route {
  const { store, clock, ids, operations } = deps.kernel;
  return route({
    name: "snapshots.create",
    method: "POST",
    path: "/snapshots",
    policy: CREATE,
    success: 202,
    body: Body,
    async handler(request) {
      const asked = request.body.snapshot;
      const volume = await knownVolume(store.read, request, asked.volume_id);
      request.authorize(CREATE, ruleTarget(volume));
      const force = asked.force ? isTrue(asked.force) : false;
      const modern = request.version.atLeast("3.66");
      if (modern && asked.force !== undefined && asked.force !== null && !force)
        throw invalidVolume("Snapshots of attached volumes are always taken; force cannot be false.");
      const row: SnapshotRow = {
        id: ids.uuid(),
        volume_id: volume.id,
        project_id: volume.project_id,
        user_id: request.context.userId,
        name: (asked.name ?? asked.display_name)?.trim() ?? null,
        description: (asked.description ?? asked.display_description)?.trim() ?? null,
        status: "creating",
        progress: "0%",
        size_gib: volume.size_gib,
        type_id: volume.type_id,
        metadata: JSON.stringify(asked.metadata ?? {}),
        consumes_quota: 1,
        provider_id: null,
        created_at: clock.now(),
        updated_at: null,
        deleted_at: null,
      };
      await store.tx(async (t) => {
        const now = await lockVolume(t, volume.id);
        if (!now || now.deleted_at !== null) throw volumeNotFound(volume.id);
        const allowed = now.status === "available" || (now.status === "in-use" && (force || modern));
        if (!allowed) throw invalidVolume(`Volume ${volume.id} is ${now.status}.`);
        if (isMigrating(now)) throw invalidVolume(`Volume ${volume.id} is migrating.`);
        await mustNotBeFrozen(t, now);
        await reserveQuota(t, volume.project_id, demandOf("snapshots", volume.type_name, now.size_gib));
        await insertSnapshot(t, { ...row, size_gib: now.size_gib });
        await operations.start(t, deps.operations.createSnapshot, {
          input: { snapshotId: row.id },
          resourceId: row.id,
          projectId: row.project_id,
          userId: row.user_id,
          requestId: request.requestId,
        });
      });
      return { body: { snapshot: snapshotVersions.down(request.version, snapshotSummary(row)) } };
    },
  });
}
