import { type Static, Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { byVersion, type Route, route } from "../../../kernel/http/route.ts";
import { BodyBoolean, isTrue, UuidLike } from "../../../kernel/http/schemas.ts";
import { isUuidLike } from "../../../kernel/ids/ids.ts";
import type { Queries, Tx } from "../../../kernel/store/store.ts";
import { mustBeDevicePath, mustNotBeRoot } from "../domain/block-devices.ts";
import { GATES, hostOf, mustBeUnlocked, mustPass } from "../domain/can.ts";
import { beginAttach, type VolumeTaken, volumeOfServer } from "../operations/attach-volume.ts";
import { beginDetach } from "../operations/detach-volume.ts";
import type { BlockDeviceRow } from "../store/block-device-tables.ts";
import { blockDevicesOf, updateBlockDevice } from "../store/block-devices.ts";
import { lockServer, serverNotFound } from "../store/servers.ts";
import type { ServerRow } from "../store/tables.ts";
import { mustBeSettled, startFor } from "./accept.ts";
import { invalid } from "./create-request.ts";
import { Tag } from "./create-schema.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { mayKnow, serverOf, targetOf } from "./server-lookup.ts";
import type { Json } from "./server-view.ts";

const RULE = "os_compute_api:os-volumes-attachments";
const closed = { additionalProperties: false };
const Device = Type.Optional(Type.Union([Type.String({ maxLength: 255 }), Type.Null()]));
const BASE = { volumeId: UuidLike, device: Device };
const NewestCreate = Type.Object(
  {
    volumeAttachment: Type.Object(
      { ...BASE, tag: Type.Optional(Tag), delete_on_termination: Type.Optional(BodyBoolean) },
      closed,
    ),
  },
  closed,
);
const create = (members: object) =>
  Type.Object(
    { volumeAttachment: Type.Object(members as typeof BASE, closed) },
    closed,
  ) as unknown as typeof NewestCreate;
const NewestUpdate = Type.Object(
  {
    volumeAttachment: Type.Object(
      {
        volumeId: UuidLike,
        id: Type.Optional(UuidLike),
        serverId: Type.Optional(UuidLike),
        device: Device,
        tag: Type.Optional(Type.Union([Tag, Type.Null()])),
        delete_on_termination: Type.Optional(BodyBoolean),
      },
      closed,
    ),
  },
  closed,
);
const Update = Type.Object(
  { volumeAttachment: Type.Object({ volumeId: UuidLike }, closed) },
  closed,
) as unknown as typeof NewestUpdate;

type AnyRequest = ApiRequest<unknown, unknown>;
type Attached = BlockDeviceRow & VolumeTaken;

/** `/servers/{id}/os-volume_attachments`: the server's volumes. The guest gets or loses the disk a moment after the answer. */
export function volumeAttachmentRoutes(deps: FaceDependencies): Route[] {
  const { store } = deps.kernel;
  const q = store.read;
  const path = "/servers/:id/os-volume_attachments";
  return [
    route({
      name: "servers.volumes.list",
      method: "GET",
      path,
      policy: `${RULE}:index`,
      query: Type.Object({
        limit: Type.Optional(Type.Integer({ minimum: 0 })),
        offset: Type.Optional(Type.Integer({ minimum: 0 })),
      }),
      strictQueryFrom: "2.75",
      async handler(request) {
        const server = await serverOf(q, request);
        request.authorize(`${RULE}:index`, targetOf(server));
        const { offset = 0, limit } = request.query;
        const devices = await blockDevicesOf(q, server.id);
        const page = devices.filter(hasVolume).slice(offset, limit ? offset + limit : undefined);
        return { body: { volumeAttachments: page.map((row) => view(row, request)) } };
      },
    }),
    route({
      name: "servers.volumes.show",
      method: "GET",
      path: `${path}/:volume`,
      policy: `${RULE}:show`,
      async handler(request) {
        const server = await serverOf(q, request);
        request.authorize(`${RULE}:show`, targetOf(server));
        return { body: { volumeAttachment: view(await deviceOf(q, request, server), request) } };
      },
    }),
    route({
      name: "servers.volumes.attach",
      method: "POST",
      path,
      policy: `${RULE}:create`,
      body: byVersion<typeof NewestCreate>({
        "2.1": create(BASE),
        "2.49": create({ ...BASE, tag: Type.Optional(Tag) }),
        "2.79": NewestCreate,
      }),
      async handler(request) {
        const server = await serverOf(q, request);
        request.authorize(`${RULE}:create`, targetOf(server));
        const wanted = wantedVolume(request.body);
        mustBeChangeable(request, server, "attach_volume");
        await mustBeOwnVolume(request, server, wanted.volumeId);
        const row = await store.tx(async (t) => {
          await mustStillBeChangeable(t, request, server, "attach_volume");
          const taken = await beginAttach(t, deps, { serverId: server.id, ...wanted });
          const operation = deps.operations.attachVolume;
          await startFor(t, deps, request, server, {
            action: "attach_volume",
            operation,
            input: volumeOfServer(taken),
          });
          return taken;
        });
        const { volume_id: volumeId, device, tag } = row;
        return {
          body: {
            volumeAttachment: {
              id: volumeId,
              serverId: server.id,
              volumeId,
              device,
              ...(request.version.atLeast("2.70") ? { tag } : {}),
              ...(request.version.atLeast("2.79") ? { delete_on_termination: row.delete_on_termination === 1 } : {}),
            },
          },
        };
      },
    }),
    route({
      name: "servers.volumes.update",
      method: "PUT",
      path: `${path}/:volume`,
      policy: [`${RULE}:swap`, `${RULE}:update`],
      success: 202,
      body: byVersion<typeof NewestUpdate>({ "2.1": Update, "2.85": NewestUpdate }),
      async handler(request) {
        const server = await serverOf(q, request);
        const { volumeAttachment: wanted } = request.body;
        const swaps =
          request.version.below("2.85") || wanted.volumeId.toLowerCase() !== request.param("volume").toLowerCase();
        request.authorize(swaps ? `${RULE}:swap` : `${RULE}:update`, targetOf(server));
        const row = await deviceOf(q, request, server);
        // Nova leaves this to Block Storage, too: it alone knows when both volumes hold the same.
        if (swaps) throw notMigrating(row.volume_id);
        mustNotChange(wanted, row);
        if (wanted.delete_on_termination === undefined) return undefined;
        const delete_on_termination = isTrue(wanted.delete_on_termination) ? 1 : 0;
        await store.tx((t) => updateBlockDevice(t, row.id, { delete_on_termination }));
        return undefined;
      },
    }),
    route({
      name: "servers.volumes.detach",
      method: "DELETE",
      path: `${path}/:volume`,
      policy: `${RULE}:delete`,
      success: 202,
      async handler(request) {
        const server = await serverOf(q, request);
        request.authorize(`${RULE}:delete`, targetOf(server));
        const seen = await deviceOf(q, request, server);
        mustNotBeRoot(seen);
        mustBeChangeable(request, server, "detach_volume");
        await store.tx(async (t) => {
          await mustStillBeChangeable(t, request, server, "detach_volume");
          const row = await deviceOf(t, request, server);
          await beginDetach(t, deps, row);
          const operation = deps.operations.detachVolume;
          await startFor(t, deps, request, server, { action: "detach_volume", operation, input: volumeOfServer(row) });
        });
        return undefined;
      },
    }),
  ];

  function mustBeChangeable(request: AnyRequest, server: ServerRow, action: string): void {
    mustBeUnlocked(server, request.context.isAdmin);
    mustPass(GATES.volumes, server, action);
    hostOf(server);
  }

  /** Between the look and the lock the server may have begun something else. */
  async function mustStillBeChangeable(t: Tx, request: AnyRequest, seen: ServerRow, action: string): Promise<void> {
    const server = await lockServer(t, seen.id);
    if (!server || server.deleted_at !== null) throw serverNotFound(seen.id);
    mustBeChangeable(request, server, action);
    await mustBeSettled(t, server);
  }

  /** Throws 404 for a volume that the asker may not know, or that is of another project than the server. */
  async function mustBeOwnVolume(request: AnyRequest, server: ServerRow, volumeId: string): Promise<void> {
    const volume = await deps.blockStorage.find(q, volumeId);
    const own = volume?.projectId === server.project_id;
    if (!volume || !own || !mayKnow(request, volume.projectId))
      throw new CloudError("notFound", "compute.volume_not_found", `Volume ${volumeId} could not be found.`);
  }
}

function wantedVolume({ volumeAttachment: wanted }: Static<typeof NewestCreate>) {
  if (wanted.device) mustBeDevicePath(wanted.device);
  return {
    volumeId: wanted.volumeId.toLowerCase(),
    tag: wanted.tag ?? null,
    deleteOnTermination: wanted.delete_on_termination !== undefined && isTrue(wanted.delete_on_termination),
  };
}

function hasVolume(row: BlockDeviceRow): boolean {
  return row.volume_id !== null;
}

/** The server's device with the volume that the path names. Throws 404. */
async function deviceOf(q: Queries, request: Pick<AnyRequest, "param">, server: ServerRow): Promise<Attached> {
  const id = request.param("volume").toLowerCase();
  const row = isUuidLike(id) ? (await blockDevicesOf(q, server.id)).find((one) => one.volume_id === id) : undefined;
  if (row?.volume_id && row.attachment_id)
    return { ...row, volume_id: row.volume_id, attachment_id: row.attachment_id };
  throw new CloudError(
    "notFound",
    "compute.volume_not_attached",
    `Instance ${server.id} is not attached to volume ${id.slice(0, 80)}`,
  );
}

function mustNotChange(wanted: Static<typeof NewestUpdate>["volumeAttachment"], row: Attached): void {
  const fixed = { id: row.volume_id, serverId: row.server_id, device: row.device, tag: row.tag };
  for (const name of ["id", "serverId", "device", "tag"] as const)
    if (wanted[name] !== undefined && wanted[name] !== fixed[name])
      throw invalid("attachment", `The ${name} property is not mutable`);
}

function notMigrating(volumeId: string): CloudError {
  return new CloudError(
    "conflict",
    "compute.volume_not_migrating",
    `volume ${volumeId} is not migrating; this API should only be called by Cinder`,
  );
}

function view(row: BlockDeviceRow, { version }: Pick<AnyRequest, "version">): Json {
  const newest = version.atLeast("2.89");
  return {
    ...(newest ? {} : { id: row.volume_id }),
    volumeId: row.volume_id,
    serverId: row.server_id,
    device: row.device,
    ...(version.atLeast("2.70") ? { tag: row.tag } : {}),
    ...(version.atLeast("2.79") ? { delete_on_termination: row.delete_on_termination === 1 } : {}),
    ...(newest ? { attachment_id: row.attachment_id, bdm_uuid: row.id } : {}),
  };
}
