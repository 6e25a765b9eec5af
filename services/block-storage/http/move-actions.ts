import { Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Action, action, byVersion } from "../../../kernel/http/route.ts";
import { mustBeIdle, mustBeMovable } from "../domain/can-move.ts";
import { invalidVolume, isMigrating } from "../domain/can-volume.ts";
import { scopeOf } from "../operations/volume-calls.ts";
import { leftoverScopes } from "../operations/volume-move.ts";
import { type NamedPlace, namedPool } from "../scheduler/named-pool.ts";
import { lockedVolume } from "../store/attaching.ts";
import { hasAttachments } from "../store/attachments.ts";
import { snapshotsOf } from "../store/snapshots.ts";
import { demandOf, reserveQuota } from "../store/volume-quotas.ts";
import { lockType, typeNotFound, usableType } from "../store/volume-types.ts";
import { transition } from "../store/volumes.ts";
import { Bool, isTrue } from "./booleans.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { lockLeftAlone, mustBeComputes } from "./left-alone.ts";
import { TextOrNull } from "./schemas.ts";
import { viewerOf } from "./type-view.ts";
import { knownVolume, ruleTarget, volumeOf } from "./volume-lookup.ts";
import { askedPlace } from "./volumes-manage.ts";

const ADMIN = "volume_extension:volume_admin_actions";
const RETYPE = "volume:retype";

const common = { force_host_copy: Type.Optional(Bool), lock_volume: Type.Optional(Bool) };
const ToHost = Type.Object(
  { ...common, host: Type.String({ minLength: 1, maxLength: 255 }) },
  { additionalProperties: false },
);
const ToPlace = Type.Object(
  { ...common, host: Type.Optional(TextOrNull), cluster: Type.Optional(TextOrNull) },
  { additionalProperties: false },
);
const Completion = Type.Object(
  {
    new_volume: Type.String({ format: "uuid-like" }),
    error: Type.Optional(Type.Union([Type.Boolean(), Type.String(), Type.Null()])),
  },
  { additionalProperties: false },
);
const ExtendCompletion = Type.Object(
  { error: Type.Optional(Type.Union([Type.Boolean(), Type.String(), Type.Null()])) },
  { additionalProperties: false },
);
const Retype = Type.Object(
  {
    new_type: Type.String({ minLength: 1, maxLength: 255 }),
    migration_policy: Type.Optional(Type.Union([Type.Enum(["never", "on-demand"]), Type.Null()])),
  },
  { additionalProperties: false },
);

type Asking = ApiRequest<unknown, unknown>;

/** `os-migrate_volume`, `os-migrate_volume_completion`, `os-retype`, `os-extend_volume_completion` */
export function moveActions(deps: FaceDependencies): Action[] {
  const { store, clock, operations } = deps.kernel;
  const about = async (request: Asking, rule: string) => {
    const volume = await volumeOf(store.read, request);
    request.authorize(rule, ruleTarget(volume));
    return volume;
  };
  return [
    action({
      key: "os-migrate_volume",
      policy: `${ADMIN}:migrate_volume`,
      // The copy is always made host to host, so that `force_host_copy` changes nothing.
      body: byVersion<typeof ToPlace>({ "3.0": ToHost as unknown as typeof ToPlace, "3.16": ToPlace }),
      async handler(request) {
        const { id } = await about(request, `${ADMIN}:migrate_volume`);
        const { lock_volume: lock } = request.body;
        const destination = askedPlace(request.body, request.version.atLeast("3.16"));
        await migrate(id, { destination, locks: lock !== undefined && isTrue(lock), request });
        return undefined;
      },
    }),
    action({
      key: "os-migrate_volume_completion",
      policy: `${ADMIN}:migrate_volume_completion`,
      success: 200,
      body: Completion,
      async handler(request) {
        const volume = await about(request, `${ADMIN}:migrate_volume_completion`);
        const other = await knownVolume(store.read, request, request.body.new_volume);
        const [begun, received] = [volume.migration_status, other.migration_status];
        if (!isMigrating(volume) && !received?.startsWith("target:")) {
          if (await hasAttachments(store.read, volume.id))
            throw invalidVolume(`Volume ${volume.id} is attached; its attachments stay with it.`);
          return { body: { save_volume_id: other.id } };
        }
        throw invalidVolume(
          `Volume ${volume.id} is ${begun ?? "not migrating"} and volume ${other.id} ${received ?? "not migrating"}: ` +
            "a migration completes by itself.",
        );
      },
    }),
    action({
      key: "os-extend_volume_completion",
      policy: `${ADMIN}:extend_volume_completion`,
      body: ExtendCompletion,
      async handler(request) {
        const { id } = await about(request, `${ADMIN}:extend_volume_completion`);
        throw invalidVolume(`Nothing waits for a word about the extension of volume ${id}: it completes by itself.`);
      },
    }),
    action({
      key: "os-retype",
      policy: RETYPE,
      body: Retype,
      async handler(request) {
        const { id } = await about(request, RETYPE);
        const { new_type: type, migration_policy: policy } = request.body;
        await retype(id, { type, mayMove: policy === "on-demand", request });
        return undefined;
      },
    }),
  ];

  async function migrate(
    id: string,
    { destination, locks, request }: { destination: NamedPlace; locks: boolean; request: Asking },
  ): Promise<void> {
    await store.tx(async (t) => {
      const volume = await lockLeftAlone(t, deps, id);
      mustBeIdle(volume);
      await mustBeComputes(t, volume);
      mustBeMovable(volume, (await snapshotsOf(t, id)).length > 0);
      const pool = await namedPool(t, deps, destination);
      const named = "host" in destination ? destination.host : destination.cluster;
      if (!pool) throw noDestination(`No backend ${named} is up and enabled.`);
      if (pool.scope === scopeOf(volume)) throw noDestination(`Volume ${id} is there already.`);
      if ((await leftoverScopes(t, id)).includes(pool.scope))
        throw noDestination(`What volume ${id} has left at ${pool.scope} is still being removed.`);
      const set = { migration_status: "starting" as const, previous_status: volume.status };
      const to = { set, ...(locks && volume.status === "available" ? { status: "maintenance" as const } : {}) };
      await transition(t, { clock, id, from: [volume.status], to, action: "migrate" });
      await operations.start(t, deps.operations.migrateVolume, {
        input: { volumeId: id, destination },
        resourceId: id,
        projectId: volume.project_id,
        userId: request.context.userId,
        requestId: request.requestId,
      });
    });
  }

  async function retype(id: string, asked: { type: string; mayMove: boolean; request: Asking }): Promise<void> {
    const { request, mayMove } = asked;
    const type = await usableType(store.read, viewerOf(request), asked.type);
    if (!type) throw typeNotFound(asked.type);
    await store.tx(async (t) => {
      // What stays where it is, nobody notices.
      const volume = mayMove ? await lockLeftAlone(t, deps, id) : await lockedVolume(t, id);
      mustBeIdle(volume);
      if (mayMove) await mustBeComputes(t, volume);
      if (volume.type_id === type.id) throw invalidVolume(`Volume ${id} has the type ${type.name} already.`);
      if (!(await lockType(t, type.id))) throw typeNotFound(type.id);
      const growth = demandOf("retype", type.name, volume.size_gib);
      await reserveQuota(t, volume.project_id, growth);
      const to = { status: "retyping" as const, set: { previous_status: volume.status } };
      await transition(t, { clock, id, from: [volume.status], to, action: "retype" });
      await operations.start(t, deps.operations.retypeVolume, {
        input: { volumeId: id, typeId: type.id, mayMove, growth },
        resourceId: id,
        projectId: volume.project_id,
        userId: request.context.userId,
        requestId: request.requestId,
      });
    });
  }
}

function noDestination(text: string): CloudError {
  return new CloudError("invalid", "block-storage.no_destination", text);
}
