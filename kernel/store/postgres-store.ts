import { Kysely, PostgresDialect } from "kysely";
import pg from "pg";
import { type Clock, systemClock } from "../clock/clock.ts";
import { errorFields, type Logger } from "../log/logger.ts";
import { ChannelHub } from "./channel-hub.ts";
import { PostgresNotices } from "./postgres-notices.ts";
import type { Queries, Reading, Store, Tx, Unlisten } from "./store.ts";

export interface PostgresOptions {
  /** `postgres://user@host:port/database`; may name a unix socket folder with `?host=`. */
  url: string;
  log: Logger;
  clock?: Clock;
  /** Connections for transactions, and as many again for reads. */
  poolSize?: number;
}

/** SQLSTATE of a prepared statement whose tables were changed since, by a newer process: it has to be prepared anew. */
const STALE_STATEMENT = "0A000";
/** SQLSTATEs after which the same transaction may succeed: serialization failure, deadlock, and on another connection. */
const RETRYABLE = new Set(["40001", "40P01", STALE_STATEMENT]);

/** The store for several server processes on one PostgreSQL (15 or newer) database. */
export class PostgresStore implements Store {
  readonly dialect = "postgres";
  readonly exclusive = false;
  readonly read: Queries;
  readonly #writePool: pg.Pool;
  readonly #readPool: pg.Pool;
  readonly #hub = new ChannelHub();
  readonly #notices: PostgresNotices;
  readonly #writing = new WeakMap<pg.PoolClient, Queries>();

  private constructor(options: PostgresOptions) {
    const base = { connectionString: options.url, max: options.poolSize ?? 10, types: { getTypeParser } };
    this.#writePool = new pg.Pool(base);
    this.#readPool = new pg.Pool({ ...base, options: "-c default_transaction_read_only=on" });
    for (const pool of [this.#writePool, this.#readPool]) {
      pool.on("error", (error) => options.log.warn(errorFields(error), "lost an idle database connection"));
    }
    this.read = this.#reading();
    this.#notices = new PostgresNotices({
      url: options.url,
      log: options.log,
      clock: options.clock ?? systemClock,
      heard: (channel, payload) => this.#hub.publish(channel, payload),
    });
  }

  static async open(options: PostgresOptions): Promise<PostgresStore> {
    const store = new PostgresStore(options);
    try {
      await store.#notices.listen();
    } catch (error) {
      await store.close();
      throw error;
    }
    return store;
  }

  reading(): Reading {
    return { ...this.read, isCurrent: () => false };
  }

  async tx<T>(fn: (t: Tx) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#once(fn);
      } catch (error) {
        if (attempt >= 5 || !RETRYABLE.has(sqlState(error))) throw error;
      }
    }
  }

  listen(channel: string, listener: (payload: string) => void): Unlisten {
    return this.#hub.listen(channel, listener);
  }

  async close(): Promise<void> {
    await this.#notices.close();
    await Promise.all([this.#writePool.end(), this.#readPool.end()]);
  }

  #reading(): Queries {
    const pool = this.#readPool;
    const run: Queries["run"] = async ({ name, sql: text }, values) => {
      try {
        return (await pool.query({ name, text, values: [...values] })).rows;
      } catch (error) {
        if (sqlState(error) !== STALE_STATEMENT) throw error;
        return (await pool.query(text, [...values])).rows;
      }
    };
    return queriesOver(new PostgresDialect({ pool }), run);
  }

  /** Kysely borrows and returns the one client of our transaction. */
  #queriesOf(client: pg.PoolClient): Queries {
    let queries = this.#writing.get(client);
    if (!queries) {
      const connection = { query: client.query.bind(client), release: () => {} } as pg.PoolClient;
      const pool = { connect: () => Promise.resolve(connection), end: () => Promise.resolve() };
      queries = queriesOver(
        new PostgresDialect({ pool }),
        async ({ name, sql: text }, values) => (await client.query({ name, text, values: [...values] })).rows,
      );
      this.#writing.set(client, queries);
    }
    return queries;
  }

  async #once<T>(fn: (t: Tx) => Promise<T>): Promise<T> {
    const client = await this.#writePool.connect();
    const notified = new Set<string>();
    let broken = false;
    try {
      await client.query("BEGIN");
      const value = await fn({
        ...this.#queriesOf(client),
        inTransaction: true,
        notify: (channel, payload) => void notified.add(PostgresNotices.message(channel, payload)),
      });
      await client.query("COMMIT");
      this.#notices.send(notified);
      return value;
    } catch (error) {
      broken = sqlState(error) === STALE_STATEMENT;
      await client.query("ROLLBACK").catch(() => {
        broken = true;
      });
      throw error;
    } finally {
      client.release(broken);
    }
  }
}

function queriesOver(dialect: PostgresDialect, run: Queries["run"]): Queries {
  const kysely = new Kysely<unknown>({ dialect });
  return { dialect: "postgres", tables: <Tables>() => kysely as unknown as Kysely<Tables>, run };
}

/** bigint (OID 20) and numeric (1700, the sum of bigints) as numbers: ours are times, sizes and counts below 2^53. */
const getTypeParser = ((oid: number, format?: "text") =>
  oid === 20 || oid === 1700 ? Number : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser;

function sqlState(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}
