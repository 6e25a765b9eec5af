import { Kysely, PostgresDialect } from "kysely";
import pg from "pg";
import { type Clock, systemClock, type Timer } from "../clock/clock.ts";
import { errorFields, type Logger } from "../log/logger.ts";
import { ChannelHub } from "./channel-hub.ts";
import { type Queries, RESYNC_CHANNEL, type Store, type Tx, type Unlisten } from "./store.ts";

export interface PostgresOptions {
  /** `postgres://user@host:port/database`; may name a unix socket folder with `?host=`. */
  url: string;
  log: Logger;
  clock?: Clock;
  /** Connections for transactions, and as many again for reads. */
  poolSize?: number;
}

/** All notifications share one PostgreSQL channel: the name is ours, the payload says which of our channels is meant. */
const PG_CHANNEL = "pileus";
const RECONNECT_MS = 1000;
/** SQLSTATEs after which the same transaction may succeed: serialization failure and deadlock. */
const RETRYABLE = new Set(["40001", "40P01"]);

/** The store for several server processes on one PostgreSQL (15 or newer) database. */
export class PostgresStore implements Store {
  readonly dialect = "postgres";
  readonly exclusive = false;
  readonly read: Queries;
  readonly #writePool: pg.Pool;
  readonly #readPool: pg.Pool;
  readonly #hub = new ChannelHub();
  readonly #options: PostgresOptions;
  #listener: pg.Client | undefined;
  #retry: Timer | undefined;
  #closed = false;

  private constructor(options: PostgresOptions) {
    this.#options = options;
    const base = { connectionString: options.url, max: options.poolSize ?? 10, types: { getTypeParser } };
    this.#writePool = new pg.Pool(base);
    this.#readPool = new pg.Pool({ ...base, options: "-c default_transaction_read_only=on" });
    for (const pool of [this.#writePool, this.#readPool]) {
      pool.on("error", (error) => options.log.warn(errorFields(error), "lost an idle database connection"));
    }
    const reader = new Kysely<unknown>({ dialect: new PostgresDialect({ pool: this.#readPool }) });
    this.read = { tables: <Tables>() => reader as unknown as Kysely<Tables> };
  }

  static async open(options: PostgresOptions): Promise<PostgresStore> {
    const store = new PostgresStore(options);
    try {
      await store.#listenOnDatabase();
    } catch (error) {
      await store.close();
      throw error;
    }
    return store;
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
    this.#closed = true;
    this.#retry?.cancel();
    await this.#listener?.end();
    await Promise.all([this.#writePool.end(), this.#readPool.end()]);
  }

  async #once<T>(fn: (t: Tx) => Promise<T>): Promise<T> {
    const client = await this.#writePool.connect();
    const notified = new Map<string, string>();
    const queries = new Kysely<unknown>({ dialect: new PostgresDialect({ pool: poolOf(client) }) });
    let broken = false;
    try {
      await client.query("BEGIN");
      const value = await fn({
        inTransaction: true,
        tables: <Tables>() => queries as unknown as Kysely<Tables>,
        notify: (channel, payload) => void notified.set(`${channel} ${payload}`, channel),
      });
      for (const message of notified.keys()) await client.query("SELECT pg_notify($1, $2)", [PG_CHANNEL, message]);
      await client.query("COMMIT");
      return value;
    } catch (error) {
      await client.query("ROLLBACK").catch(() => {
        broken = true;
      });
      throw error;
    } finally {
      client.release(broken);
    }
  }

  /** A connection that ends after this has resolved is replaced; one that never was is the caller's affair. */
  async #listenOnDatabase(): Promise<void> {
    const client = new pg.Client({ connectionString: this.#options.url, keepAlive: true });
    client.on("notification", (notice) => {
      const payload = notice.payload ?? "";
      const cut = payload.indexOf(" ");
      this.#hub.publish(payload.slice(0, cut), payload.slice(cut + 1));
    });
    client.on("error", (error) => this.#options.log.warn(errorFields(error), "trouble on the notification connection"));
    try {
      await client.connect();
      await client.query(`LISTEN ${PG_CHANNEL}`);
    } catch (error) {
      client.end().catch(() => {});
      throw error;
    }
    if (this.#closed) {
      await client.end();
      return;
    }
    this.#listener = client;
    client.once("end", () => this.#reconnect());
  }

  #reconnect(): void {
    if (this.#closed) return;
    this.#retry = (this.#options.clock ?? systemClock).after(RECONNECT_MS, () => {
      this.#listenOnDatabase().then(
        () => this.#hub.publish(RESYNC_CHANNEL, ""),
        (error: unknown) => {
          this.#options.log.warn(errorFields(error), "cannot listen on the database yet");
          this.#reconnect();
        },
      );
    });
  }
}

/** Kysely borrows and returns the one client of our transaction. */
function poolOf(client: pg.PoolClient) {
  const connection = { query: client.query.bind(client), release: () => {} } as pg.PoolClient;
  return { connect: () => Promise.resolve(connection), end: () => Promise.resolve() };
}

/** bigint (OID 20) and numeric (1700, the sum of bigints) as numbers: ours are times, sizes and counts below 2^53. */
const getTypeParser = ((oid: number, format?: "text") =>
  oid === 20 || oid === 1700 ? Number : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser;

function sqlState(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}
