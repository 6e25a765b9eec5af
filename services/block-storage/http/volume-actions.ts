import { type Static, Type } from "typebox";
import { without } from "../../../kernel/http/own.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { action, actionRoute, type Route } from "../../../kernel/http/route.ts";
import { adminMetadataOf } from "../domain/can-attach.ts";
import { invalidVolume, READABLE } from "../domain/can-volume.ts";
import { VOLUME_STATUSES, type VolumeStatus } from "../domain/volume-state.ts";
import { endMoves } from "../operations/end-moves.ts";
import { lockedVolume } from "../store/attaching.ts";
import { detachAll, hasAttachments } from "../store/attachments.ts";
import { checkVolumeSize, demandOf, reserveQuota } from "../store/volume-quotas.ts";
import { getVolume, transition, updateDetails } from "../store/volumes.ts";
import { Bool, isTrue } from "./booleans.ts";
import { connectionActions } from "./connection-actions.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { lockLeftAlone } from "./left-alone.ts";
import { moveActions } from "./move-actions.ts";
import { abandonWork, removeVolume } from "./remove-volume.ts";
import { VolumeMetadata } from "./schemas.ts";
import { unmanageAction } from "./unmanage-action.ts";
import { ruleTarget, volumeOf } from "./volume-lookup.ts";

const ADMIN = "volume_extension:volume_admin_actions";
const IMAGE_METADATA = "volume_extension:volume_image_metadata";

const Text = Type.Optional(Type.Union([Type.String({ maxLength: 255 }), Type.Null()]));
const ResetBody = Type.Object(
  { status: Text, attach_status: Text, migration_status: Text },
  { additionalProperties: false },
);
const MIGRATION_STATUSES = ["migrating", "error", "success", "completing", "none", "starting"] as const;

type Asking = ApiRequest<unknown, unknown>;

/** `POST /volumes/{id}/action` */
export function volumeActionRoutes(deps: FaceDependencies): Route[] {
  const { store, clock, operations } = deps.kernel;
  const about = async (request: Asking, rule: string) => {
    const volume = await volumeOf(store.read, request);
    request.authorize(rule, ruleTarget(volume));
    return volume;
  };
  const imageMetadata = async (request: Asking, rule: string, change: (old: Pairs) => Pairs): Promise<Pairs> => {
    const { id } = await about(request, rule);
    return await store.tx(async (t) => {
      const { image_metadata: old } = await getVolume(t, id);
      const metadata = change(old === null ? {} : (JSON.parse(old) as Pairs));
      const stored = Object.keys(metadata).length === 0 ? null : JSON.stringify(metadata);
      await updateDetails(t, clock, id, { image_metadata: stored });
      return metadata;
    });
  };

  return [
    actionRoute({
      name: "volumes.action",
      path: "/volumes/:id/action",
      actions: [
        unmanageAction(deps),
        ...moveActions(deps),
        action({
          key: "os-extend",
          policy: "volume:extend",
          body: Type.Object(
            { new_size: Type.Union([Type.Integer(), Type.String({ pattern: "^[0-9]{1,9}$" })]) },
            { additionalProperties: false },
          ),
          async handler(request) {
            const volume = await about(request, "volume:extend");
            const sizeGiB = Number(request.body.new_size);
            if (sizeGiB < 1 || sizeGiB > 0x7fff_ffff) throw invalidVolume("A size is a number of GiB from 1.");
            await checkVolumeSize(store.read, volume.project_id, sizeGiB);
            await store.tx(async (t) => {
              // Since 3.42 also under the guest that has it.
              const online = request.version.atLeast("3.42");
              const { size_gib: old, status } = await (online
                ? lockLeftAlone(t, deps, volume.id)
                : lockedVolume(t, volume.id));
              if (sizeGiB <= old) throw invalidVolume(`The new size must be greater than the volume's, ${old} GiB.`);
              const growth = demandOf("growth", volume.type_name, sizeGiB - old);
              await reserveQuota(t, volume.project_id, growth);
              const to = { status: "extending" as const, set: { previous_status: status } };
              await transition(t, {
                clock,
                id: volume.id,
                from: online ? READABLE : ["available"],
                to,
                action: "extend",
              });
              await operations.start(t, deps.operations.extendVolume, {
                input: { volumeId: volume.id, sizeGiB, growth },
                resourceId: volume.id,
                projectId: volume.project_id,
                userId: request.context.userId,
                requestId: request.requestId,
              });
            });
            return undefined;
          },
        }),
        action({
          key: "os-reset_status",
          policy: `${ADMIN}:reset_status`,
          body: ResetBody,
          async handler(request) {
            const { id } = await about(request, `${ADMIN}:reset_status`);
            await reset(id, request.body);
            return undefined;
          },
        }),
        action({
          key: "os-force_delete",
          policy: `${ADMIN}:force_delete`,
          async handler(request) {
            const { id: volumeId } = await about(request, `${ADMIN}:force_delete`);
            const removal = { volumeId, force: true, cascade: false, requestId: request.requestId };
            await store.tx((t) => removeVolume(t, deps, removal));
            return undefined;
          },
        }),
        action({
          key: "os-set_bootable",
          policy: "volume_extension:volume_actions:set_bootable",
          success: 200,
          body: Type.Object({ bootable: Bool }, { additionalProperties: false }),
          async handler(request) {
            const { id } = await about(request, "volume_extension:volume_actions:set_bootable");
            const bootable = isTrue(request.body.bootable) ? 1 : 0;
            await store.tx((t) => updateDetails(t, clock, id, { bootable }));
            return undefined;
          },
        }),
        action({
          key: "os-set_image_metadata",
          policy: `${IMAGE_METADATA}:set`,
          success: 200,
          body: Type.Object({ metadata: VolumeMetadata }, { additionalProperties: false }),
          async handler(request) {
            const { metadata } = request.body;
            const all = await imageMetadata(request, `${IMAGE_METADATA}:set`, (old) => ({ ...old, ...metadata }));
            return { body: { metadata: all } };
          },
        }),
        action({
          key: "os-show_image_metadata",
          policy: `${IMAGE_METADATA}:show`,
          success: 200,
          async handler(request) {
            const { image_metadata: stored } = await about(request, `${IMAGE_METADATA}:show`);
            return { body: { metadata: stored === null ? {} : JSON.parse(stored) } };
          },
        }),
        action({
          key: "os-unset_image_metadata",
          policy: `${IMAGE_METADATA}:remove`,
          success: 200,
          body: Type.Object({ key: Type.String({ minLength: 1, maxLength: 255 }) }, { additionalProperties: false }),
          async handler(request) {
            const { key } = request.body;
            await imageMetadata(request, `${IMAGE_METADATA}:remove`, (old) => {
              const rest = without(old, key);
              if (!rest) throw invalidVolume(`The volume has no image metadata ${key}.`);
              return rest;
            });
            return undefined;
          },
        }),
        ...connectionActions(deps, about),
      ],
    }),
  ];

  /** Sets what the administrator says, whatever is true; nobody works on the volume any more. */
  async function reset(id: string, asked: Static<typeof ResetBody>): Promise<void> {
    const status = asked.status?.toLowerCase();
    const attachStatus = asked.attach_status?.toLowerCase();
    const migration = asked.migration_status?.toLowerCase();
    if (!status && !attachStatus && !migration) throw invalidVolume("Nothing is to be reset.");
    if (status && !RESETTABLE.includes(status)) throw invalidVolume(`A volume cannot be reset to ${status}.`);
    if (attachStatus && attachStatus !== "attached" && attachStatus !== "detached")
      throw invalidVolume("An attach_status is attached or detached.");
    const moving = MIGRATION_STATUSES.find((known) => known === migration);
    if (migration && !moving) throw invalidVolume(`A migration_status cannot be reset to ${migration}.`);
    await store.tx(async (t) => {
      const volume = await lockedVolume(t, id);
      if (status === "in-use" && !(await hasAttachments(t, id)))
        throw invalidVolume(`Volume ${id} has no attachments, so it cannot be in use.`);
      if (status) await abandonWork(t, deps, id);
      // A move serves at its destination whoever had the volume when it began.
      else if (moving || attachStatus === "detached") await endMoves(t, deps, id);
      const { attached_mode: _, ...noted } = adminMetadataOf(volume);
      if (attachStatus === "detached") await detachAll(t, id);
      const set = {
        ...(attachStatus === "detached" ? { admin_metadata: JSON.stringify(noted) } : {}),
        ...(attachStatus ? { attach_status: attachStatus as "attached" | "detached" } : {}),
        ...(moving ? { migration_status: moving === "none" ? null : moving } : {}),
      };
      const to = { set, ...(status ? { status: status as VolumeStatus } : {}) };
      await transition(t, { clock, id, from: null, to, action: "reset" });
    });
  }
}

type Pairs = Readonly<Record<string, string>>;

const RESETTABLE: readonly string[] = VOLUME_STATUSES.filter(
  (status) => !["deleting", "unmanaging", "error_managing_deleting"].includes(status),
);
