import type { Connection } from "../../agent/protocol/connection.ts";
import type { Queries, Tx } from "../../kernel/store/store.ts";
import type { ImageSummary } from "../image/public.ts";
import type { BlockStorageDependencies } from "./dependencies.ts";
import { invalidVolume, isChanging } from "./domain/can-volume.ts";
import { removeVolume } from "./http/remove-volume.ts";
import { blockStorageOperations } from "./operations/block-storage-operations.ts";
import { requiredTarget } from "./operations/volume-calls.ts";
import type { BlockStoragePublic, ServerAttachment, VolumeForServer } from "./public.ts";
import { attached, beginDetaching, connected, letGo, reserve, rollDetaching } from "./store/attaching.ts";
import { attachmentsOf, attachmentsOfServer, transitionAttachment } from "./store/attachments.ts";
import { changingVolume } from "./store/changing-volume.ts";
import { findSnapshot, getSnapshot } from "./store/snapshots.ts";
import { leastSizeOf, type NewVolumeSource, rowFromSource } from "./store/volume-from-source.ts";
import { checkVolumeSize, demandOf, reserveQuota } from "./store/volume-quotas.ts";
import { defaultType, lockType, typeById, typeNotFound, usableType } from "./store/volume-types.ts";
import { findVolume, getVolume, insertVolume } from "./store/volumes.ts";

/** What Compute is given. Made apart from the service, which needs the fleet, which needs Compute's listener. */
export function publicVolumes(deps: BlockStorageDependencies): BlockStoragePublic {
  const { kernel } = deps;
  const operations = blockStorageOperations(deps);
  return {
    async find(q, volumeId) {
      const row = await findVolume(q, volumeId);
      if (!row) return undefined;
      return {
        id: row.id,
        projectId: row.project_id,
        status: row.status,
        sizeGiB: row.size_gib,
        bootable: row.bootable === 1,
        changing: isChanging(row),
        zone: row.zone,
        imageMetadata: JSON.parse(row.image_metadata ?? "{}") as Record<string, string>,
      };
    },
    async findSnapshot(q, snapshotId) {
      const row = await findSnapshot(q, snapshotId);
      if (!row) return undefined;
      const { id, project_id: projectId, status, size_gib: sizeGiB, volume_id: volumeId } = row;
      return { id, projectId, status, sizeGiB, volumeId };
    },
    servingBackend: async (q, volumeId) => requiredTarget(await getVolume(q, volumeId)),
    async attachmentsOfServer(q, serverId) {
      const rows = await attachmentsOfServer(q, serverId);
      return new Map(
        rows.map((row): [string, ServerAttachment] => [
          row.volume_id,
          {
            attachmentId: row.id,
            volumeId: row.volume_id,
            readOnly: row.attach_mode === "ro",
            connection: row.connection_info === null ? null : (JSON.parse(row.connection_info) as Connection),
          },
        ]),
      );
    },

    changingVolume,
    async othersHave(q, { volumeId, serverId }) {
      const rows = await attachmentsOf(q, volumeId);
      return rows.some((row) => row.held_by_compute === 0 || row.server_id !== serverId);
    },

    async reserve(t, { volumeId, serverId }) {
      const row = await reserve(t, kernel, { volumeId, serverId, mode: null, heldByCompute: true });
      return { attachmentId: row.id };
    },
    async connected(t, { attachmentId, host, device, connection }) {
      const mode = null;
      await connected(t, kernel, { attachmentId, host, mountpoint: device, mode, connector: { host }, connection });
    },
    attached: (t, attachmentId) => attached(t, kernel, attachmentId),
    beginDetaching: (t, volumeId) => beginDetaching(t, kernel, volumeId),
    async rollDetaching(t, volumeId) {
      if ((await findVolume(t, volumeId))?.status === "detaching") await rollDetaching(t, kernel, volumeId);
    },
    letGo: (t, attachmentId) => letGo(t, kernel, attachmentId),
    async moveAttachments(t, serverId, host) {
      for (const { id, connector } of await attachmentsOfServer(t, serverId)) {
        if (connector === null) continue;
        const moved = { attached_host: host, connector: JSON.stringify({ host }) };
        await transitionAttachment(t, kernel.clock, id, moved);
      }
    },

    create: (t, wanted) => create(t, wanted),
    async remove(t, { volumeId, force, requestId }) {
      if (!(await findVolume(t, volumeId))) return;
      await removeVolume(t, { ...deps, operations }, { volumeId, force, cascade: false, requestId });
    },
  };

  async function create(t: Tx, wanted: VolumeForServer): Promise<string> {
    const source = await sourceOf(t, wanted);
    const least = leastSizeOf(source);
    const sizeGiB = wanted.sizeGiB ?? Math.max(1, least);
    if (sizeGiB < least)
      throw invalidVolume(`The volume's size ${sizeGiB} GiB is smaller than its source's, ${least} GiB.`);
    const { projectId, userId, name, requestId } = wanted;
    const type = await typeOf(t, wanted, source);
    if (!(await lockType(t, type.id))) throw typeNotFound(type.id);
    await checkVolumeSize(t, projectId, sizeGiB);
    await reserveQuota(t, projectId, demandOf("volumes", type.name, sizeGiB));
    const zone = source.volume?.zone ?? deps.settings.storageAvailabilityZone;
    const details = { name, description: "", metadata: {} };
    const row = rowFromSource(kernel, { projectId, userId, ...details, sizeGiB, type, zone, source });
    await insertVolume(t, row);
    await kernel.operations.start(t, operations.createVolume, {
      input: { volumeId: row.id },
      resourceId: row.id,
      projectId,
      userId,
      requestId,
    });
    return row.id;
  }

  async function sourceOf(q: Queries, { source, projectId, isAdmin }: VolumeForServer): Promise<NewVolumeSource> {
    const nothing: NewVolumeSource = { snapshot: null, volume: null, image: null };
    if (source.kind === "blank") return nothing;
    if (source.kind === "image") {
      const image: ImageSummary | undefined = await deps.images.find(q, source.imageId, { projectId, isAdmin });
      if (image?.status !== "active") throw invalidVolume(`Image ${source.imageId} is not there, or not active.`);
      return { ...nothing, image };
    }
    const snapshot = await getSnapshot(q, source.snapshotId);
    if (snapshot.status !== "available") throw invalidVolume(`Snapshot ${snapshot.id} is ${snapshot.status}.`);
    return { ...nothing, snapshot, volume: await getVolume(q, snapshot.volume_id) };
  }

  async function typeOf(q: Queries, wanted: VolumeForServer, { volume }: NewVolumeSource) {
    if (wanted.type !== null) {
      const { projectId, isAdmin } = wanted;
      const type = await usableType(q, { projectId, isAdmin }, wanted.type);
      if (!type) throw typeNotFound(wanted.type);
      return type;
    }
    const inherited = volume ? await typeById(q, volume.type_id) : undefined;
    return inherited ?? (await defaultType(q, deps.settings.defaultVolumeType));
  }
}
