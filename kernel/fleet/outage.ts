import { sql } from "kysely";
import type { Tx } from "../store/store.ts";
import type { FleetTables } from "./tables.ts";

/**
 * The time in which no process of the server listened is no silence of the hosts: it is taken out of theirs, so that a
 * host is down when it was not heard for `service_down_time` although somebody listened. How long that was is told by
 * the beats of the processes themselves: theirs is the only clock that counts, and a process that starts beside another
 * finds fresh ones. To be called before a process beats, in the same transaction; shorter pauses than `leastMs` do not count.
 */
export async function forgiveOutage(t: Tx, now: number, leastMs: number): Promise<void> {
  if ((await lastBeat(t)) + leastMs >= now) return;
  // One after another: who comes second finds the beat of the first.
  const db = t.tables<FleetTables>();
  await db
    .updateTable("services")
    .set({ number: sql.ref("number") })
    .where("uuid", "=", (eb) =>
      eb.selectFrom("services").select(sql<string>`min(uuid)`.as("first")).where("service", "is", null),
    )
    .execute();
  const until = await lastBeat(t);
  if (until + leastMs >= now) return;
  const later = { last_seen: sql<number>`last_seen + ${sql.lit(now - until)}` };
  await db.updateTable("hosts").set(later).where("last_seen", "<=", until).execute();
  await db
    .updateTable("services")
    .set(later)
    .where("last_seen", "<=", until)
    .where("service", "is not", null)
    .execute();
}

/** Infinity before the first process of a new cloud has beaten. */
async function lastBeat(t: Tx): Promise<number> {
  const row = await t
    .tables<FleetTables>()
    .selectFrom("services")
    .select((eb) => eb.fn.max("last_seen").as("at"))
    .where("service", "is", null)
    .executeTakeFirst();
  return row?.at === null || row?.at === undefined ? Number.POSITIVE_INFINITY : Number(row.at);
}
