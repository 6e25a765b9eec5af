import type { Tx } from "../store/store.ts";
import { CHANGED_CHANNEL, DUE_CHANNEL } from "./channels.ts";
import { slotsHeldBy } from "./statements.ts";
import type { OperationTables } from "./tables.ts";

/** Takes a place for the operation. False when all `max` are taken by others; true again when it already holds one. */
export async function takeSlot(t: Tx, operationId: string, slot: { key: string; max: number }): Promise<boolean> {
  await lockKey(t, slot.key);
  const db = t.tables<OperationTables>();
  const taken = await db.selectFrom("operation_slots").selectAll().where("slot_key", "=", slot.key).execute();
  if (taken.some((row) => row.operation_id === operationId)) return true;
  const places = new Set(taken.map((row) => row.place));
  for (let place = 1; place <= slot.max; place += 1) {
    if (places.has(place)) continue;
    await db.insertInto("operation_slots").values({ slot_key: slot.key, place, operation_id: operationId }).execute();
    return true;
  }
  return false;
}

/**
 * Gives up the operation's places, all or those of one key. Each goes straight to whoever waits for it with the highest
 * priority, then for longest, so that nobody can overtake the one that is woken.
 */
export async function releaseSlots(t: Tx, operationId: string, now: number, key?: string): Promise<void> {
  const db = t.tables<OperationTables>();
  const all = await slotsHeldBy.all(t, { operation_id: operationId });
  const held = key === undefined ? all : all.filter((slot) => slot.slot_key === key);
  for (const { slot_key, place } of held) {
    await lockKey(t, slot_key);
    const heir = await wakeFirstWaiter(t, slot_key, now);
    const slot = db.updateTable("operation_slots").where("slot_key", "=", slot_key).where("place", "=", place);
    if (heir) await slot.set({ operation_id: heir }).execute();
    else await db.deleteFrom("operation_slots").where("slot_key", "=", slot_key).where("place", "=", place).execute();
  }
}

async function wakeFirstWaiter(t: Tx, key: string, now: number): Promise<string | undefined> {
  const db = t.tables<OperationTables>();
  const waiters = await db
    .selectFrom("operations")
    .select("id")
    .where("wait_slot", "=", key)
    .where("state", "=", "waiting")
    .orderBy("priority", "desc")
    .orderBy("created_at")
    .orderBy("id")
    .execute();
  for (const { id } of waiters) {
    const woken = await db
      .updateTable("operations")
      .set({ run_at: now, state: "ready" })
      .where("id", "=", id)
      .where("wait_slot", "=", key)
      .where("state", "=", "waiting")
      .returning("id")
      .executeTakeFirst();
    if (!woken) continue;
    t.notify(DUE_CHANNEL, "");
    t.notify(CHANGED_CHANNEL, id);
    return id;
  }
  return undefined;
}

/** One transaction at a time per key, also between processes. */
async function lockKey(t: Tx, key: string): Promise<void> {
  await t
    .tables<OperationTables>()
    .insertInto("operation_slot_keys")
    .values({ slot_key: key, turns: 1 })
    .onConflict((c) => c.column("slot_key").doUpdateSet((eb) => ({ turns: eb("operation_slot_keys.turns", "+", 1) })))
    .execute();
}
