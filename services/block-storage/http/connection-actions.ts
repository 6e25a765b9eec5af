import { Type } from "typebox";
import type { Connection } from "../../../agent/protocol/connection.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Action, action } from "../../../kernel/http/route.ts";
import { UuidLike } from "../../../kernel/http/schemas.ts";
import { outputOfStep } from "../../../kernel/operations/queries.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import { adminMetadataOf, modeOf, mustBeReservable, mustNotBeComputes } from "../domain/can-attach.ts";
import { invalidVolume } from "../domain/can-volume.ts";
import type { VolumeStatus } from "../domain/volume-state.ts";
import type { DisconnectVolumeInput } from "../operations/disconnect-volume.ts";
import { beginDetaching, lockedVolume, markAttached, rollDetaching } from "../store/attaching.ts";
import { attachmentsOf, insertAttachment } from "../store/attachments.ts";
import type { AttachmentRow, VolumeRow } from "../store/tables.ts";
import type { ListedVolume } from "../store/volume-lists.ts";
import { getVolume, transition } from "../store/volumes.ts";
import { connectionInfo } from "./attachment-view.ts";
import { Bool, isTrue } from "./booleans.ts";
import { Connector, textOf } from "./connector.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { endedOperation } from "./ended-operation.ts";

const RULES = "volume_extension:volume_actions";
const READONLY = "volume:update_readonly_flag";
const FORCE_DETACH = "volume_extension:volume_admin_actions:force_detach";

const closed = { additionalProperties: false };
const OptionalId = Type.Optional(Type.Union([UuidLike, Type.Null()]));
const OptionalText = Type.Optional(Type.Union([Type.String({ maxLength: 255 }), Type.Null()]));

type Leaving = Omit<DisconnectVolumeInput, "volumeId">;
type Asking = ApiRequest<unknown, unknown>;
type About = (request: Asking, rule: string) => Promise<ListedVolume>;

/**
 * The older way to attach a volume by oneself: reserve, initialize_connection, attach; begin_detaching, terminate_connection,
 * detach. What Compute has attached is refused with 409.
 */
export function connectionActions(deps: FaceDependencies, about: About): Action[] {
  const { store, clock, ids, operations } = deps.kernel;
  /** One change of the status, of a volume that Compute does not hold. */
  const step = (key: string, change: (t: Tx, volume: VolumeRow) => Promise<unknown>) => {
    const rule = `${RULES}:${key.slice("os-".length)}`;
    return action({
      key,
      policy: rule,
      async handler(request) {
        const { id } = await about(request, rule);
        await store.tx(async (t) => change(t, await freeVolume(t, id)));
        return undefined;
      },
    });
  };
  return [
    step("os-reserve", async (t, volume) => {
      mustBeReservable(volume);
      await transition(t, {
        clock,
        id: volume.id,
        from: ["available"],
        to: { status: "attaching" },
        action: "reserve",
      });
    }),
    step("os-begin_detaching", (t, volume) => beginDetaching(t, deps.kernel, volume.id)),
    step("os-roll_detaching", (t, volume) => rollDetaching(t, deps.kernel, volume.id)),
    action({
      key: "os-unreserve",
      policy: `${RULES}:unreserve`,
      async handler(request) {
        const { id } = await about(request, `${RULES}:unreserve`);
        const free = await mustBe(id, ["attaching"], "unreserve");
        await disconnect(request, free, { attachmentIds: [], removes: true, force: false });
        return undefined;
      },
    }),
    action({
      key: "os-initialize_connection",
      policy: `${RULES}:initialize_connection`,
      success: 200,
      body: Type.Object({ connector: Connector }, closed),
      async handler(request) {
        const { id } = await about(request, `${RULES}:initialize_connection`);
        const connector = request.body.connector as Readonly<Record<string, unknown>>;
        const volume = await mustBe(id, ["attaching", "in-use"], "initialize_connection");
        const operationId = await store.tx((t) =>
          operations.start(t, deps.operations.connectVolume, {
            input: {
              volumeId: id,
              attachmentId: null,
              host: textOf(connector, "host"),
              mountpoint: textOf(connector, "mountpoint"),
              mode: null,
              connector,
              releases: false,
            },
            ...startedFor(volume, request),
          }),
        );
        await endedOperation(deps, operationId, request.signal);
        const { connection } = (await outputOfStep(store.read, operationId, "serve")) as unknown as {
          connection: Connection;
        };
        return { body: { connection_info: connectionInfo(connection, volume) } };
      },
    }),
    action({
      key: "os-terminate_connection",
      policy: `${RULES}:terminate_connection`,
      body: Type.Object({ connector: Type.Union([Connector, Type.Null()]) }, closed),
      async handler(request) {
        const { id } = await about(request, `${RULES}:terminate_connection`);
        const volume = await mustBe(id, ["attaching", "in-use", "detaching"], "terminate_connection");
        const rows = await attachmentsOf(store.read, id);
        await disconnect(request, volume, { attachmentIds: rows.map((row) => row.id), removes: false, force: false });
        return undefined;
      },
    }),
    action({
      key: "os-attach",
      policy: `${RULES}:attach`,
      body: Type.Object(
        {
          instance_uuid: OptionalId,
          host_name: OptionalText,
          mountpoint: Type.String({ minLength: 1, maxLength: 255 }),
          mode: Type.Optional(Type.Enum(["rw", "ro"])),
        },
        closed,
      ),
      async handler(request) {
        const { id } = await about(request, `${RULES}:attach`);
        const { instance_uuid: serverId = null, host_name: host = null, mountpoint, mode = "rw" } = request.body;
        if ((serverId === null) === (host === null))
          throw invalidVolume("A volume is attached to an instance or to a host, and to one of them.");
        await store.tx(async (t) => {
          const volume = await freeVolume(t, id);
          const attach_mode = modeOf(volume, mode);
          await markAttached(t, clock, volume, attach_mode, ["available", "attaching"]);
          await insertAttachment(t, attachmentRow(volume, { serverId, host, mountpoint, attach_mode }));
        });
        return undefined;
      },
    }),
    action({
      key: "os-detach",
      policy: `${RULES}:detach`,
      body: Type.Union([Type.Object({ attachment_id: OptionalId }, closed), Type.Null()]),
      async handler(request) {
        const { id } = await about(request, `${RULES}:detach`);
        const volume = await mustBe(id, ["in-use", "detaching", "attaching"], "detach");
        await disconnect(request, volume, await leaving(id, request.body?.attachment_id ?? null, false));
        return undefined;
      },
    }),
    action({
      key: "os-force_detach",
      policy: FORCE_DETACH,
      body: Type.Object(
        { attachment_id: OptionalId, connector: Type.Optional(Type.Union([Connector, Type.Null()])) },
        closed,
      ),
      async handler(request) {
        const { id } = await about(request, FORCE_DETACH);
        const volume = await store.tx((t) => forcedVolume(t, id));
        const gone = await leaving(id, request.body.attachment_id ?? null, true);
        if (gone.attachmentIds.length === 0) throw invalidVolume(`Volume ${id} is not attached.`);
        await disconnect(request, volume, gone);
        return undefined;
      },
    }),
    action({
      key: "os-update_readonly_flag",
      policy: READONLY,
      body: Type.Object({ readonly: Bool }, closed),
      async handler(request) {
        const { id } = await about(request, READONLY);
        const readonly = isTrue(request.body.readonly) ? "True" : "False";
        await store.tx(async (t) => {
          const volume = await lockedVolume(t, id);
          const set = { admin_metadata: JSON.stringify({ ...adminMetadataOf(volume), readonly }) };
          await transition(t, { clock, id, from: ["available"], to: { set }, action: "update_readonly_flag" });
        });
        return undefined;
      },
    }),
  ];

  /** The volume, locked. Throws 409 when Compute holds it. */
  async function freeVolume(t: Tx, id: string): Promise<VolumeRow> {
    const volume = await lockedVolume(t, id);
    for (const row of await attachmentsOf(t, id)) mustNotBeComputes(row);
    return volume;
  }

  /** As `freeVolume`, where nobody can ask Compute: what a deleted server had may be given up for it. */
  async function forcedVolume(t: Tx, id: string): Promise<VolumeRow> {
    const volume = await lockedVolume(t, id);
    for (const row of await attachmentsOf(t, id))
      if (row.server_id === null || (await deps.servers.hasServer(t, row.server_id))) mustNotBeComputes(row);
    return volume;
  }

  async function mustBe(id: string, statuses: readonly VolumeStatus[], name: string): Promise<VolumeRow> {
    const volume = await store.tx((t) => freeVolume(t, id));
    if (statuses.includes(volume.status)) return volume;
    throw invalidVolume(`Cannot '${name}' volume ${id} while its status is '${volume.status}'.`);
  }

  /** The one attachment that is meant, or all of them. */
  async function leaving(id: string, attachmentId: string | null, force: boolean): Promise<Leaving> {
    const rows = await attachmentsOf(store.read, id);
    const meant = rows.filter((row) => attachmentId === null || row.id === attachmentId.toLowerCase());
    if (attachmentId !== null && meant.length === 0)
      throw invalidVolume(`Volume ${id} has no attachment ${attachmentId}.`);
    return { attachmentIds: meant.map((row) => row.id), removes: true, force };
  }

  async function disconnect(request: Asking, volume: VolumeRow, input: Leaving): Promise<void> {
    const operationId = await store.tx((t) =>
      operations.start(t, deps.operations.disconnectVolume, {
        input: { volumeId: volume.id, ...input },
        ...startedFor(volume, request),
      }),
    );
    await endedOperation(deps, operationId, request.signal);
    const refused = input.removes && (await stillThere(volume.id, input.attachmentIds));
    if (refused) throw invalidVolume(`The backend did not let go of volume ${volume.id}.`);
  }

  async function stillThere(volumeId: string, attachmentIds: readonly string[]): Promise<boolean> {
    await getVolume(store.read, volumeId);
    return (await attachmentsOf(store.read, volumeId)).some((row) => attachmentIds.includes(row.id));
  }

  function attachmentRow(
    volume: VolumeRow,
    to: { serverId: string | null; host: string | null; mountpoint: string; attach_mode: "rw" | "ro" },
  ): AttachmentRow {
    return {
      id: ids.uuid(),
      volume_id: volume.id,
      project_id: volume.project_id,
      server_id: to.serverId,
      attached_host: to.host,
      mountpoint: to.mountpoint,
      attach_mode: to.attach_mode,
      attach_status: "attached",
      connector: null,
      connection_info: null,
      attached_at: clock.now(),
      detached_at: null,
      held_by_compute: 0,
      created_at: clock.now(),
      updated_at: null,
    };
  }
}

function startedFor(volume: VolumeRow, request: Asking) {
  return {
    resourceId: volume.id,
    projectId: volume.project_id,
    userId: request.context.userId,
    requestId: request.requestId,
  };
}
