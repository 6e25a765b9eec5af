import { type Kysely, sql } from "kysely";
import { isAmong } from "../../../kernel/store/is-among.ts";
import { prepared, preparedPer } from "../../../kernel/store/prepared.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import { havingPairs, type TimeLimit, withinTime } from "./list-conditions.ts";
import { type ListPage, pageOrder, type SortColumn } from "./listing.ts";
import type { AttachmentRow, BlockStorageTables, VolumeRow } from "./tables.ts";
import { escapeLike } from "./volume-types.ts";

/** Columns that lists can be sorted by, under the names of the API. */
export const VOLUME_SORT_COLUMNS: Readonly<Record<string, SortColumn>> = {
  created_at: { column: "volumes.created_at" },
  updated_at: { column: "volumes.updated_at", empty: 0 },
  id: { column: "volumes.id" },
  name: { column: "volumes.name", empty: "" },
  display_name: { column: "volumes.name", empty: "" },
  status: { column: "volumes.status" },
  size: { column: "volumes.size_gib" },
  host: { column: "volumes.host", empty: "" },
  bootable: { column: "volumes.bootable" },
  availability_zone: { column: "volumes.zone" },
  project_id: { column: "volumes.project_id" },
  user_id: { column: "volumes.user_id" },
  volume_type_id: { column: "volumes.type_id" },
};

/** A volume as lists need it: with the name of its type. */
export type ListedVolume = VolumeRow & { readonly type_name: string };

export type VolumeEquals = Partial<
  Pick<
    VolumeRow,
    | "project_id"
    | "user_id"
    | "id"
    | "name"
    | "status"
    | "zone"
    | "bootable"
    | "size_gib"
    | "host"
    | "cluster_name"
    | "migration_status"
    | "replication_status"
    | "group_id"
    | "type_id"
    | "snapshot_id"
    | "source_volume_id"
    | "multiattach"
    | "consumes_quota"
  >
>;

export interface VolumeFilter {
  readonly equals: VolumeEquals;
  /** Parts of these columns, any case. */
  readonly like?: Partial<Record<"name" | "status" | "description", string>>;
  /** Pairs that must be among the metadata. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  readonly imageMetadata?: Readonly<Record<string, string>> | undefined;
  readonly times?: readonly TimeLimit[];
}

type Db = Kysely<BlockStorageTables>;

function selectVolumes(db: Db) {
  return db
    .selectFrom("volumes")
    .innerJoin("volume_types", "volume_types.id", "volumes.type_id")
    .selectAll("volumes")
    .select("volume_types.name as type_name");
}

const byId = prepared((db: Db, p: { id: string }) =>
  selectVolumes(db).where("volumes.id", "=", p.id).where("volumes.deleted_at", "is", null),
);

/** The volume with the name of its type, unless deleted. */
export async function findListedVolume(q: Queries, id: string): Promise<ListedVolume | undefined> {
  return await byId.first(q, { id });
}

/** One page of volumes, which is one query; newest first unless sorted otherwise. */
export async function listVolumes(q: Queries, filter: VolumeFilter, page: ListPage): Promise<ListedVolume[]> {
  if (page.limit === 0) return [];
  const project = plainProject(filter, page);
  if (project !== null) {
    const { created_at = 0, id = "" } = (page.marker ?? {}) as Partial<VolumeRow>;
    const parts: PlainPart[] = [
      ...(project === undefined ? [] : ["project" as const]),
      ...(page.marker ? ["after" as const] : []),
    ];
    const values = { project_id: project ?? "", limit: page.limit, after_time: created_at, after_id: id };
    return await plainPage(parts).all(q, values);
  }
  const { order, behindMarker } = pageOrder("volumes", page);
  return await filtered(selectVolumes(q.tables<BlockStorageTables>()), filter)
    .where(behindMarker)
    .orderBy(sql`${order}`)
    .limit(page.limit)
    .offset(page.offset)
    .execute();
}

type PlainPart = "project" | "after";

/** The lists that clients poll: a project's or all, newest first. Null for others; undefined stands for all projects. */
function plainProject(filter: VolumeFilter, page: ListPage): string | undefined | null {
  const { project_id: project, ...rest } = filter.equals;
  const plain =
    page.sort.length === 0 &&
    page.offset === 0 &&
    Object.keys(rest).length === 0 &&
    Object.keys(filter.like ?? {}).length === 0 &&
    filter.metadata === undefined &&
    filter.imageMetadata === undefined &&
    (filter.times ?? []).length === 0;
  return plain ? project : null;
}

const plainPage = preparedPer((parts: readonly PlainPart[]) =>
  prepared((db: Db, p: { project_id: string; limit: number; after_time: number; after_id: string }) => {
    let query = selectVolumes(db).where("volumes.deleted_at", "is", null);
    if (parts.includes("project")) query = query.where("volumes.project_id", "=", p.project_id);
    const marker = parts.includes("after") ? { created_at: p.after_time, id: p.after_id } : undefined;
    const { order, behindMarker } = pageOrder("volumes", { sort: [], marker });
    return query.where(behindMarker).orderBy(sql`${order}`).limit(p.limit);
  }),
);

type Selected = ReturnType<typeof selectVolumes>;

function filtered(query: Selected, filter: VolumeFilter): Selected {
  const { equals, like = {}, metadata, imageMetadata, times = [] } = filter;
  let found = query.where("volumes.deleted_at", "is", null);
  for (const [column, value] of Object.entries(equals)) {
    const reference = sql.ref(`volumes.${column}`);
    found = found.where(value === null ? sql<boolean>`${reference} IS NULL` : sql<boolean>`${reference} = ${value}`);
  }
  for (const [column, part] of Object.entries(like)) {
    const pattern = `%${escapeLike(part.toLowerCase())}%`;
    found = found.where(sql<boolean>`lower(${sql.ref(`volumes.${column}`)}) LIKE ${pattern} ESCAPE '\\'`);
  }
  const conditions = [
    ...havingPairs("volumes.metadata", metadata),
    ...havingPairs("volumes.image_metadata", imageMetadata),
    ...times.map((limit) => withinTime("volumes", limit)),
  ];
  for (const condition of conditions) found = found.where(condition);
  return found;
}

type Count = number | bigint | string;

/** How many volumes there are in all pages, and how much they hold. */
export async function countVolumes(q: Queries, filter: VolumeFilter): Promise<{ count: number; sizeGiB: number }> {
  const row = await filtered(selectVolumes(q.tables<BlockStorageTables>()), filter)
    .clearSelect()
    .select((eb) => [eb.fn.countAll<Count>().as("count"), eb.fn.sum<Count | null>("volumes.size_gib").as("size")])
    .executeTakeFirstOrThrow();
  return { count: Number(row.count), sizeGiB: Number(row.size ?? 0) };
}

/** Each different metadata of the volumes. */
export async function metadataOfVolumes(q: Queries, filter: VolumeFilter): Promise<Record<string, string>[]> {
  const rows = await filtered(selectVolumes(q.tables<BlockStorageTables>()), filter)
    .clearSelect()
    .select("volumes.metadata")
    .distinct()
    .execute();
  return rows.map((row) => JSON.parse(row.metadata) as Record<string, string>);
}

const attachmentsOfVolumes = prepared((db: Db, p: { ids: string }, dialect) =>
  db
    .selectFrom("volume_attachments")
    .selectAll()
    .where("attach_status", "=", "attached")
    .where(isAmong(dialect, "volume_id", p.ids)),
);

/** What is attached, by volume; asks nothing when no volume says that it is attached. */
export async function attachmentsByVolume(
  q: Queries,
  volumes: readonly VolumeRow[],
): Promise<ReadonlyMap<string, readonly AttachmentRow[]>> {
  const ids = volumes.filter((volume) => volume.attach_status === "attached").map((volume) => volume.id);
  if (ids.length === 0) return new Map();
  return Map.groupBy(await attachmentsOfVolumes.all(q, { ids: JSON.stringify(ids) }), (row) => row.volume_id);
}
