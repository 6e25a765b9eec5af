import { setImmediate } from "node:timers/promises";
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  Kysely,
  PostgresAdapter,
  PostgresQueryCompiler,
  SqliteAdapter,
  SqliteQueryCompiler,
} from "kysely";
import { type Queries, RESYNC_CHANNEL, type Reading, type Store, type Tx, type Unlisten } from "../store.ts";

/** A store that knows whether anything is under way on it, so that a test with a clock of its own knows when only time can help. */
export class WatchedStore implements Store {
  readonly dialect: Store["dialect"];
  readonly exclusive: boolean;
  readonly read: Queries;
  readonly #inner: Store;
  #underWay = 0;
  /** Notifications that were sent and have not come back. On SQLite they arrive with the commit. */
  readonly #sent = new Set<string>();
  #ended = Promise.withResolvers<void>();
  readonly #listening = new Map<string, Unlisten>();

  constructor(inner: Store) {
    this.#inner = inner;
    this.dialect = inner.dialect;
    this.exclusive = inner.exclusive;
    this.read = this.#watchedQueries(inner.read);
  }

  /** True while a transaction or a read is under way, or a notification is on its way to this process. */
  get busy(): boolean {
    return this.#underWay > 0 || this.#sent.size > 0;
  }

  /** The next turn of the event loop; while something is under way, the one after anything of it has ended: nobody need spin. */
  async turn(): Promise<void> {
    if (this.busy) await this.#ended.promise;
    await setImmediate();
  }

  async tx<T>(fn: (t: Tx) => Promise<T>): Promise<T> {
    const notified: [string, string][] = [];
    const value = await this.#watch(() =>
      this.#inner.tx(async (t) => {
        notified.length = 0;
        const notify: Tx["notify"] = (channel, payload) => {
          notified.push([channel, payload]);
          t.notify(channel, payload);
        };
        return await fn({ ...t, notify });
      }),
    );
    if (this.dialect === "postgres") for (const [channel, payload] of notified) this.#expect(channel, payload);
    return value;
  }

  reading(): Reading {
    const inner = this.#inner.reading();
    return { ...this.#watchedQueries(inner), isCurrent: () => inner.isCurrent() };
  }

  listen(channel: string, listener: (payload: string) => void): Unlisten {
    return this.#inner.listen(channel, listener);
  }

  /** Ends the watch; the store goes on. */
  async close(): Promise<void> {
    for (const unlisten of this.#listening.values()) unlisten();
    this.#listening.clear();
  }

  /** A repeat that is sent before the first has come may be one with it: whoever hears the first sees what both tell of. */
  #expect(channel: string, payload: string): void {
    this.#sent.add(key(channel, payload));
    this.#hear(channel, (heard) => {
      this.#sent.delete(key(channel, heard));
      this.#end();
    });
    this.#hear(RESYNC_CHANNEL, () => {
      this.#sent.clear();
      this.#end();
    });
  }

  #hear(channel: string, heard: (payload: string) => void): void {
    if (!this.#listening.has(channel)) this.#listening.set(channel, this.#inner.listen(channel, heard));
  }

  #end(): void {
    this.#ended.resolve();
    this.#ended = Promise.withResolvers<void>();
  }

  async #watch<T>(work: () => Promise<T>): Promise<T> {
    this.#underWay += 1;
    try {
      return await work();
    } finally {
      this.#underWay -= 1;
      this.#end();
    }
  }

  #watchedQueries(inner: Queries): Queries {
    const db = new Kysely<unknown>({ dialect: this.#watchedDialect(inner.tables<unknown>()) });
    return {
      dialect: inner.dialect,
      tables: <Tables>() => db as unknown as Kysely<Tables>,
      run: (statement, parameters) => this.#watch(() => inner.run(statement, parameters)),
    };
  }

  /** Compiles as the store's own dialect does, and hands everything on to it. */
  #watchedDialect(inner: Kysely<unknown>): Dialect {
    const connection: DatabaseConnection = {
      executeQuery: <R>(query: CompiledQuery) => this.#watch(() => inner.executeQuery<R>(query as CompiledQuery<R>)),
      streamQuery: () => refuse(),
    };
    const nothing = async () => {};
    return {
      createAdapter: () => (this.dialect === "sqlite" ? new SqliteAdapter() : new PostgresAdapter()),
      createQueryCompiler: () => (this.dialect === "sqlite" ? new SqliteQueryCompiler() : new PostgresQueryCompiler()),
      createIntrospector: () => inner.introspection,
      createDriver: () => ({
        init: nothing,
        acquireConnection: async () => connection,
        releaseConnection: nothing,
        destroy: nothing,
        beginTransaction: refuse,
        commitTransaction: refuse,
        rollbackTransaction: refuse,
      }),
    };
  }
}

const key = (channel: string, payload: string) => `${channel} ${payload}`;

function refuse(): never {
  throw new Error("reads are no transactions and no streams");
}
