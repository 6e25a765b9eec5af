import type { Queries, Tx } from "../../../kernel/store/store.ts";
import type { ImageTables, MemberRow } from "./tables.ts";

export async function membersOf(q: Queries, imageId: string): Promise<MemberRow[]> {
  return await q
    .tables<ImageTables>()
    .selectFrom("image_members")
    .selectAll()
    .where("image_id", "=", imageId)
    .orderBy("created_at")
    .orderBy("member_id")
    .execute();
}

/** Undefined when the project is a member already. */
export async function addMember(t: Tx, member: MemberRow): Promise<MemberRow | undefined> {
  return await t
    .tables<ImageTables>()
    .insertInto("image_members")
    .values(member)
    .onConflict((c) => c.columns(["image_id", "member_id"]).doNothing())
    .returningAll()
    .executeTakeFirst();
}

export async function setMember(
  t: Tx,
  imageId: string,
  memberId: string,
  set: Pick<MemberRow, "status" | "updated_at">,
): Promise<MemberRow | undefined> {
  return await t
    .tables<ImageTables>()
    .updateTable("image_members")
    .set(set)
    .where("image_id", "=", imageId)
    .where("member_id", "=", memberId)
    .returningAll()
    .executeTakeFirst();
}

/** False when it was none. */
export async function removeMember(t: Tx, imageId: string, memberId: string): Promise<boolean> {
  const removed = await t
    .tables<ImageTables>()
    .deleteFrom("image_members")
    .where("image_id", "=", imageId)
    .where("member_id", "=", memberId)
    .returning("member_id")
    .executeTakeFirst();
  return removed !== undefined;
}
