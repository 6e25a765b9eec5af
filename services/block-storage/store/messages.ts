import { sql } from "kysely";
import type { Clock } from "../../../kernel/clock/clock.ts";
import type { IdSource } from "../../../kernel/ids/ids.ts";
import type { Queries, Tx } from "../../../kernel/store/store.ts";
import { type ListPage, pageOrder, type SortColumn } from "./listing.ts";
import type { BlockStorageTables, VolumeMessageRow } from "./tables.ts";

/** What was being done, and what went wrong: numbers and texts are OpenStack's; what it has no number for has one from 101. */
const ACTIONS = {
  schedule: ["001", "schedule allocate volume"],
  unmanage: ["006", "unmanage volume"],
  extend: ["007", "extend volume"],
  create: ["008", "create volume from backend storage"],
  snapshotCreate: ["009", "create snapshot"],
  snapshotDelete: ["010", "delete snapshot"],
  delete: ["101", "delete volume"],
  retype: ["102", "retype volume"],
  manage: ["103", "manage existing volume"],
  migrate: ["104", "migrate volume"],
  failover: ["105", "fail over volume"],
} as const;
const DETAILS = {
  unknown: ["001", "An unknown error occurred."],
  noBackend: ["003", "Could not find any available weighted backend."],
  quota: ["006", "Not enough quota resource for operation."],
  noSpace: ["101", "The backend has not enough room."],
  copyAway: ["103", "A copy is on an array that cannot be reached; it is removed once the array is back."],
  leftBehind: ["102", "The volume is not where its backend serves from now."],
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

interface Tools {
  readonly clock: Clock;
  readonly ids: IdSource;
}

export interface NewMessage {
  readonly projectId: string;
  readonly requestId: string | null;
  readonly resource: "VOLUME" | "VOLUME_SNAPSHOT";
  readonly resourceId: string;
  readonly action: MessageAction;
  readonly detail: MessageDetail;
}

/** Tells a project why something that was accepted failed. */
export async function insertMessage(t: Tx, tools: Tools, about: NewMessage): Promise<void> {
  await t.tables<BlockStorageTables>().insertInto("volume_messages").values(rowOf(tools, about)).execute();
}

/** As `insertMessage`, for many at once. */
export async function insertMessages(t: Tx, tools: Tools, abouts: readonly NewMessage[]): Promise<void> {
  const rows = abouts.map((about) => rowOf(tools, about));
  for (let i = 0; i < rows.length; i += ROWS_AT_ONCE) {
    const some = rows.slice(i, i + ROWS_AT_ONCE);
    await t.tables<BlockStorageTables>().insertInto("volume_messages").values(some).execute();
  }
}

/** Their values stay below the variable limit of both databases. */
const ROWS_AT_ONCE = 1_000;

function rowOf({ clock, ids }: Tools, about: NewMessage): VolumeMessageRow {
  const [actionId, action] = ACTIONS[about.action];
  const [detailId, detail] = DETAILS[about.detail];
  return {
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
