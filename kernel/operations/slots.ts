import type { Tx } from "../store/store.ts";
import { DUE_CHANNEL } from "./channels.ts";
import type { OperationTables } from "./tables.ts";

/** Takes a place for the operation. False when all `max` are taken by others; true again when it already holds one. */
export async function takeSlot(t: Tx, operationId: string, slot: { key: string; max: number }): Promise<boolean> {
  const db = t.tables<OperationTables>();
  const taken = await db.selectFrom("operation_slots").selectAll().where("slot_key", "=", slot.key).execute();
  if (taken.some((row) => row.operation_id === operationId)) return true;
  for (let place = 1; place <= slot.max; place += 1) {
    if (taken.some((row) => row.place === place)) continue;
    // The primary key decides between processes that take the same place at the same time.
    const mine = await db
      .insertInto("operation_slots")
      .values({ slot_key: slot.key, place, operation_id: operationId })
      .onConflict((c) => c.doNothing())
      .returning("place")
      .executeTakeFirst();
    if (mine) return true;
  }
  return false;
}

/** Gives back every place of the operation and wakes those that wait for one. */
export async function releaseSlots(t: Tx, operationId: string, now: number): Promise<void> {
  const db = t.tables<OperationTables>();
  const freed = await db
    .deleteFrom("operation_slots")
    .where("operation_id", "=", operationId)
    .returning("slot_key")
    .execute();
  if (freed.length === 0) return;
  await db
    .updateTable("operations")
    .set({ run_at: now, state: "ready" })
    .where(
      "wait_slot",
      "in",
      freed.map((f) => f.slot_key),
    )
    .where("state", "=", "waiting")
    .execute();
  t.notify(DUE_CHANNEL, "");
}
