import { sql } from "kysely";
import type { Clock } from "../../../kernel/clock/clock.ts";
import type { IdSource } from "../../../kernel/ids/ids.ts";
import type { Queries, Tx } from "../../../kernel/store/store.ts";
import { type ListPage, pageOrder, type SortColumn } from "./listing.ts";
import type { BlockStorageTables, VolumeMessageRow } from "./tables.ts";

/** What was being done, and what went wrong: numbers and texts are OpenStack's. */
const ACTIONS = {
  schedule: ["001", "schedule allocate volume"],
  unmanage: ["006", "unmanage volume"],
  create: ["004", "create volume from backend storage"],
  extend: ["008", "extend volume"],
  delete: ["010", "delete volume"],
  snapshotCreate: ["009", "create snapshot"],
  snapshotDelete: ["011", "delete snapshot"],
  retype: ["017", "retype volume"],
  manage: ["014", "manage existing volume"],
} as const;
const DETAILS = {
  unknown: ["001", "An unknown error occurred."],
  quota: ["006", "Not enough quota resource for operation."],
  noBackend: ["003", "Could not find any available weighted backend."],
  noSpace: ["007", "The backend has not enough room."],
} as const;

export type MessageAction = keyof typeof ACTIONS;
export type MessageDetail = keyof typeof DETAILS;

const TTL_MS = 30 * 24 * 3_600_000;

/** Why an accepted request failed, in words that its user may see. */
export function detailOf(code: string): MessageDetail {
  if (code === "block-storage.no_backend") return "noBackend";
  if (code === "block-storage.over_quota") return "quota";
  return code === "storage.no_space" ? "noSpace" : "unknown";
}

/** Tells a project why something that was accepted failed. */
export async function insertMessage(
  t: Tx,
  { clock, ids }: { clock: Clock; ids: IdSource },
  about: {
    projectId: string;
    requestId: string | null;
    resource: "VOLUME" | "VOLUME_SNAPSHOT";
    resourceId: string;
    action: MessageAction;
    detail: MessageDetail;
  },
): Promise<void> {
  const [actionId, action] = ACTIONS[about.action];
  const [detailId, detail] = DETAILS[about.detail];
  const row: VolumeMessageRow = {
    id: ids.uuid(),
    project_id: about.projectId,
    request_id: about.requestId,
    resource_type: about.resource,
    resource_id: about.resourceId,
    event_id: `VOLUME_${about.resource}_${actionId}_${detailId}`,
    message_level: "ERROR",
    user_message: `${action}: ${detail}`,
    created_at: clock.now(),
    expires_at: clock.now() + TTL_MS,
  };
  await t.tables<BlockStorageTables>().insertInto("volume_messages").values(row).execute();
}

export const MESSAGE_SORT_COLUMNS: Readonly<Record<string, SortColumn>> = {
  id: { column: "volume_messages.id" },
  event_id: { column: "volume_messages.event_id" },
  resource_type: { column: "volume_messages.resource_type" },
  resource_uuid: { column: "volume_messages.resource_id", empty: "" },
  message_level: { column: "volume_messages.message_level" },
  request_id: { column: "volume_messages.request_id", empty: "" },
  created_at: { column: "volume_messages.created_at" },
};

export type MessageFilter = Partial<
  Pick<VolumeMessageRow, "project_id" | "resource_type" | "resource_id" | "event_id" | "message_level" | "request_id">
>;

/** One page of the messages that have not expired. */
export async function listMessages(
  q: Queries,
  now: number,
  filter: MessageFilter,
  page: ListPage,
): Promise<VolumeMessageRow[]> {
  if (page.limit === 0) return [];
  const { order, behindMarker } = pageOrder("volume_messages", page);
  let query = messages(q).where("expires_at", ">", now).where(behindMarker);
  for (const [column, value] of Object.entries(filter)) query = query.where(sql.ref(column), "=", value);
  return await query.orderBy(sql`${order}`).limit(page.limit).offset(page.offset).execute();
}

export async function findMessage(q: Queries, now: number, id: string): Promise<VolumeMessageRow | undefined> {
  return await messages(q).where("id", "=", id).where("expires_at", ">", now).executeTakeFirst();
}

export async function deleteMessage(t: Tx, id: string): Promise<void> {
  await t.tables<BlockStorageTables>().deleteFrom("volume_messages").where("id", "=", id).execute();
}

function messages(q: Queries) {
  return q.tables<BlockStorageTables>().selectFrom("volume_messages").selectAll();
}
