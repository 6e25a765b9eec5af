import { type Kysely, sql } from "kysely";
import type { Clock } from "../clock/clock.ts";
import { CloudError } from "../errors/cloud-error.ts";
import type { Store } from "./store.ts";

/**
 * One step of the schema, one direction. `name` is permanent and sorts within its owner (`compute-0001-servers`).
 * The statements must be valid on both dialects.
 */
export interface Migration {
  name: string;
  statements: readonly string[];
}

interface MigrationTables {
  schema_migrations: { name: string; applied_at: number };
}

/** Any number that no other part of the program uses: serialises migrating processes on PostgreSQL. */
const ADVISORY_LOCK = 7_305_117;

/** Brings the database to the newest schema. Several processes may call it at once. Refuses a database of a newer program. */
export async function migrate(store: Store, migrations: readonly Migration[], clock: Clock): Promise<string[]> {
  const known = new Set(migrations.map((m) => m.name));
  if (known.size !== migrations.length) throw new Error("two migrations have the same name");
  return await store.tx(async (t) => {
    const db = t.tables<MigrationTables>();
    if (store.dialect === "postgres") await sql`SELECT pg_advisory_xact_lock(${ADVISORY_LOCK})`.execute(db);
    await run(db, "CREATE TABLE IF NOT EXISTS schema_migrations (name text PRIMARY KEY, applied_at bigint NOT NULL)");
    const applied = new Set((await db.selectFrom("schema_migrations").select("name").execute()).map((row) => row.name));
    for (const name of applied) if (!known.has(name)) throw newerDatabase(name);
    const missing = migrations.filter((m) => !applied.has(m.name));
    for (const migration of missing) {
      for (const statement of migration.statements) await run(db, statement);
      await db.insertInto("schema_migrations").values({ name: migration.name, applied_at: clock.now() }).execute();
    }
    return missing.map((m) => m.name);
  });
}

async function run<T>(db: Kysely<T>, statement: string): Promise<void> {
  await sql.raw(statement).execute(db);
}

function newerDatabase(name: string): CloudError {
  return new CloudError(
    "conflict",
    "store.newer_schema",
    `The database was used by a newer version of this program (schema step ${name} is unknown here). Start that version instead.`,
  );
}
