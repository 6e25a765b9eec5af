import { Type } from "typebox";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { action, actionRoute, byVersion, type Route, route } from "../../../kernel/http/route.ts";
import { UuidLike } from "../../../kernel/http/schemas.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import { mustNotBeComputes } from "../domain/can-attach.ts";
import { invalidVolume } from "../domain/can-volume.ts";
import { attached, beginDetaching, letGo, lockedBoth, reserve } from "../store/attaching.ts";
import {
  ATTACHMENT_SORT_COLUMNS,
  type AttachmentFilter,
  attachmentNotFound,
  attachmentsOf,
  findAttachment,
  getAttachment,
  listAttachments,
  transitionAttachment,
} from "../store/attachments.ts";
import type { AttachmentRow } from "../store/tables.ts";
import { attachmentDetail, attachmentSummary } from "./attachment-view.ts";
import { Connector, startConnecting } from "./connector.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { endedOperation } from "./ended-operation.ts";
import { askedPage, listQuery } from "./listing.ts";
import { flag } from "./volume-filters.ts";
import { knownVolume, mayKnow, ruleTarget } from "./volume-lookup.ts";

const SINCE = "3.27";
const CREATE = "volume:attachment_create";
const UPDATE = "volume:attachment_update";
const DELETE = "volume:attachment_delete";
const COMPLETE = "volume:attachment_complete";
const GET = "volume:get";
const GET_ALL = "volume:get_all";

const text = Type.Optional(Type.String());
const query = Type.Object({
  ...listQuery,
  all_tenants: text,
  project_id: text,
  volume_id: text,
  instance_id: text,
  status: text,
  attach_status: text,
});
type Asked = ApiRequest<unknown, Type.Static<typeof query>>;

const closed = { additionalProperties: false };
const BASE = {
  volume_uuid: UuidLike,
  instance_uuid: Type.Optional(Type.Union([UuidLike, Type.Null()])),
  connector: Type.Optional(Type.Union([Connector, Type.Null()])),
};
const NewestCreate = Type.Object(
  { attachment: Type.Object({ ...BASE, mode: Type.Optional(Type.Enum(["rw", "ro"])) }, closed) },
  closed,
);
const Create = Type.Object({ attachment: Type.Object(BASE, closed) }, closed) as unknown as typeof NewestCreate;
const Update = Type.Object({ attachment: Type.Object({ connector: Connector }, closed) }, closed);

/** `/attachments`: who has, or is about to have, which volume. */
export function attachmentRoutes(deps: FaceDependencies): Route[] {
  const { store, clock, operations } = deps.kernel;
  const q = store.read;
  const list = (kind: "list" | "detail") =>
    route({
      name: `attachments.${kind}`,
      method: "GET",
      path: kind === "list" ? "/attachments" : "/attachments/detail",
      minVersion: SINCE,
      policy: GET_ALL,
      query,
      strictQueryFrom: "3.31",
      async handler(request) {
        request.authorize(GET_ALL, { project_id: request.context.projectId });
        const { marker, ...page } = askedPage(request, ATTACHMENT_SORT_COLUMNS, deps.settings.maxLimit);
        const after = marker === undefined ? undefined : await known(request, marker);
        const rows = await listAttachments(q, filterOf(request), { ...page, marker: after });
        return { body: { attachments: rows.map(kind === "list" ? attachmentSummary : attachmentDetail) } };
      },
    });
  return [
    list("list"),
    list("detail"),
    route({
      name: "attachments.show",
      method: "GET",
      path: "/attachments/:id",
      minVersion: SINCE,
      policy: GET,
      async handler(request) {
        const row = await known(request, request.param("id"));
        request.authorize(GET, { project_id: row.project_id });
        return { body: { attachment: attachmentDetail(row) } };
      },
    }),
    route({
      name: "attachments.create",
      method: "POST",
      path: "/attachments",
      minVersion: SINCE,
      policy: CREATE,
      body: byVersion<typeof NewestCreate>({ "3.27": Create, "3.54": NewestCreate }),
      async handler(request) {
        const { volume_uuid: volumeId, instance_uuid, connector, mode } = request.body.attachment;
        const volume = await knownVolume(q, request, volumeId);
        request.authorize(CREATE, ruleTarget(volume));
        const connects = connector && Object.keys(connector).length > 0 ? connector : null;
        const asked = { volumeId: volume.id, serverId: instance_uuid ?? null, mode: mode ?? null };
        const [row, operationId] = await store.tx(async (t) => {
          const made = await reserve(t, deps.kernel, { ...asked, heldByCompute: false });
          if (connects === null) return [made, null] as const;
          const connecting = { attachment: made, connector: connects, releases: true };
          return [made, await startConnecting(t, deps, request, connecting)] as const;
        });
        if (operationId !== null) await endedOperation(deps, operationId, request.signal);
        return { body: { attachment: attachmentDetail(await getAttachment(q, row.id)) } };
      },
    }),
    route({
      name: "attachments.update",
      method: "PUT",
      path: "/attachments/:id",
      minVersion: SINCE,
      policy: UPDATE,
      body: Update,
      async handler(request) {
        const seen = await own(request, UPDATE);
        const { connector } = request.body.attachment;
        if (Object.keys(connector).length === 0) throw invalidVolume("Must specify 'connector' to update attachment.");
        const operationId = await store.tx(async (t) => {
          const { volume, attachment } = await lockedBoth(t, seen.id);
          if (volume.status !== "reserved" && volume.status !== "attaching")
            throw invalidVolume(`Volume ${volume.id} is ${volume.status}, so its attachment cannot be updated.`);
          return await startConnecting(t, deps, request, { attachment, connector, releases: false });
        });
        await endedOperation(deps, operationId, request.signal);
        return { body: { attachment: attachmentDetail(await getAttachment(q, seen.id)) } };
      },
    }),
    route({
      name: "attachments.delete",
      method: "DELETE",
      path: "/attachments/:id",
      minVersion: SINCE,
      policy: DELETE,
      async handler(request) {
        const seen = await own(request, DELETE);
        const operationId = await store.tx((t) => beginDelete(t, seen, request));
        if (operationId !== null) await endedOperation(deps, operationId, request.signal);
        const rest = await attachmentsOf(q, seen.volume_id);
        if (rest.some((row) => row.id === seen.id)) throw invalidVolume(`Attachment ${seen.id} could not be removed.`);
        return { body: { attachments: rest.map(attachmentSummary) } };
      },
    }),
    actionRoute({
      name: "attachments.action",
      path: "/attachments/:id/action",
      actions: [
        action({
          key: "os-complete",
          policy: COMPLETE,
          minVersion: "3.44",
          success: 204,
          async handler(request) {
            const { id } = await own(request, COMPLETE);
            await store.tx((t) => attached(t, deps.kernel, id));
            return undefined;
          },
        }),
      ],
    }),
  ];

  /** The attachment that the path names, for one who may change it. Throws 409 for one that Compute holds. */
  async function own(request: ApiRequest<unknown, unknown>, rule: string): Promise<AttachmentRow> {
    const row = await known(request, request.param("id"));
    request.authorize(rule, { project_id: row.project_id });
    mustNotBeComputes(row);
    return row;
  }

  async function known(request: Pick<ApiRequest, "context">, id: string): Promise<AttachmentRow> {
    const row = await findAttachment(q, id);
    if (!row || !mayKnow(request, row.project_id)) throw attachmentNotFound(id);
    return row;
  }

  /** One that is only reserved goes at once; else the volume stops being served first. */
  async function beginDelete(t: Tx, seen: AttachmentRow, request: Pick<ApiRequest, "context" | "requestId">) {
    const { volume, attachment } = await lockedBoth(t, seen.id);
    if (attachment.attach_status === "reserved") {
      await letGo(t, deps.kernel, attachment.id);
      return null;
    }
    if (volume.status === "in-use") await beginDetaching(t, deps.kernel, volume.id);
    await transitionAttachment(t, clock, attachment.id, { attach_status: "detaching" });
    return await operations.start(t, deps.operations.disconnectVolume, {
      input: { volumeId: volume.id, attachmentIds: [attachment.id], removes: true, force: false },
      resourceId: volume.id,
      projectId: volume.project_id,
      userId: request.context.userId,
      requestId: request.requestId,
    });
  }
}

function filterOf({ context, query: asked }: Asked): AttachmentFilter {
  const everywhere = context.isAdmin && flag("all_tenants", asked.all_tenants ?? "false") === 1;
  const filter = {
    project_id: everywhere ? asked.project_id : (context.projectId ?? ""),
    volume_id: asked.volume_id,
    server_id: asked.instance_id,
    attach_status: asked.attach_status ?? asked.status,
  };
  return Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined));
}
