import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe } from "node:test";
import { sql } from "kysely";
import pg from "pg";
import { systemClock } from "../../clock/clock.ts";
import { systemIds } from "../../ids/ids.ts";
import { silentLogger } from "../../log/logger.ts";
import { type Migration, migrate } from "../migrate.ts";
import { PostgresStore } from "../postgres-store.ts";
import { SqliteStore } from "../sqlite-store.ts";
import type { Store } from "../store.ts";

export type DialectName = Store["dialect"];

/** A throw-away database. `again()` opens one more connection to it, as a second server process would (PostgreSQL only). */
export interface TestStore {
  store: Store;
  /** PostgreSQL: its URL; SQLite: its file. */
  url: string;
  again(): Promise<Store>;
  dispose(): Promise<void>;
}

const postgresUrl = process.env.PILEUS_TEST_POSTGRES;

/** Registers the same tests for SQLite and, where a server was provided, PostgreSQL. */
export function onBothStores(
  name: string,
  tests: (open: (migrations: readonly Migration[]) => Promise<TestStore>) => void,
): void {
  describe(`${name} (sqlite)`, () => tests(tracked(openSqlite)));
  const skip = postgresUrl ? false : "PILEUS_TEST_POSTGRES names no server; npm test starts one";
  describe(`${name} (postgres)`, { skip }, () => tests(tracked(openPostgres)));
}

type Open = (migrations: readonly Migration[]) => Promise<TestStore>;

/** Closes what a test opened even when the test fails. */
function tracked(open: Open): Open {
  const opened: TestStore[] = [];
  after(() => Promise.all(opened.map((s) => s.dispose())));
  return async (migrations) => {
    const store = await open(migrations);
    opened.push(store);
    return store;
  };
}

/** A fresh SQLite database in a folder of its own. */
export async function openSqlite(migrations: readonly Migration[]): Promise<TestStore> {
  const folder = await mkdtemp(join(tmpdir(), "pileus-store-"));
  const file = join(folder, "pileus.db");
  const store = new SqliteStore({ file, durable: false });
  await migrate(store, migrations, systemClock);
  return {
    store,
    url: file,
    again: () => Promise.resolve(store),
    dispose: once(async () => {
      await store.close();
      await rm(folder, { recursive: true, force: true });
    }),
  };
}

/** A fresh schema-less database on the server that `npm test` started. */
export async function openPostgres(migrations: readonly Migration[]): Promise<TestStore> {
  if (!postgresUrl) throw new Error("PILEUS_TEST_POSTGRES is not set");
  const name = `t_${systemIds.hex()}`;
  await administer(postgresUrl, `CREATE DATABASE ${name}`);
  const url = new URL(postgresUrl);
  url.pathname = `/${name}`;
  const stores: Store[] = [];
  const open = async () => {
    const store = await PostgresStore.open({ url: url.href, log: silentLogger, poolSize: 4 });
    stores.push(store);
    return store;
  };
  const store = await open();
  await migrate(store, migrations, systemClock);
  return {
    store,
    url: url.href,
    again: open,
    dispose: once(async () => {
      await Promise.all(stores.map((s) => s.close()));
      await administer(postgresUrl, `DROP DATABASE ${name} WITH (FORCE)`);
    }),
  };
}

/** Cuts the connections over which the processes on this PostgreSQL database hear notifications. */
export async function terminateListeners(store: Store): Promise<void> {
  await sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND query LIKE 'LISTEN %'`.execute(store.read.tables<unknown>());
}

async function administer(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

function once(fn: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () => {
    done ??= fn();
    return done;
  };
}
