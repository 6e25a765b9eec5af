import { chmodSync, closeSync, existsSync, openSync } from "node:fs";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { Kysely, SqliteDialect } from "kysely";
import { CloudError } from "../errors/cloud-error.ts";
import { ChannelHub } from "./channel-hub.ts";
import { StatementCache, type TrackedStatement } from "./sqlite-statements.ts";
import type { Queries, Reading, Store, Tx, Unlisten } from "./store.ts";

export interface SqliteOptions {
  /** Database file; its folder must exist. */
  file: string;
  /** False only in tests: skips fsync. */
  durable?: boolean;
}

interface Job {
  run(t: Tx): Promise<unknown>;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

/** More than this in one commit would make the first of them wait too long. */
const MAX_GROUP = 256;

/**
 * The embedded store. Group commit: transactions that arrive together run one after the other inside one SQLite
 * transaction, each in its own savepoint, and share one fsync; one that fails is rolled back alone.
 */
export class SqliteStore implements Store {
  readonly dialect = "sqlite";
  readonly exclusive = true;
  readonly read: Queries;
  readonly #writer: DatabaseSync;
  readonly #control: TransactionControl;
  readonly #reader: DatabaseSync;
  readonly #readerStatements: StatementCache;
  readonly #hub = new ChannelHub();
  readonly #writing: Queries;
  /** By table: how many commits of this process, which are all there are, have written to it. */
  readonly #writes = new Map<string, number>();
  /** Tables that the open group has written to, or may have. */
  readonly #touched = new Set<string>();
  readonly #queue: Job[] = [];
  #draining: Promise<void> | undefined;
  #closed = false;

  constructor(options: SqliteOptions) {
    keepPrivate(options.file);
    this.#writer = new DatabaseSync(options.file);
    this.#writer.exec("PRAGMA journal_mode = WAL");
    this.#writer.exec(`PRAGMA synchronous = ${options.durable === false ? "OFF" : "FULL"}`);
    this.#writer.exec("PRAGMA foreign_keys = ON");
    this.#writer.exec("PRAGMA busy_timeout = 5000");
    this.#control = transactionControl(this.#writer);
    this.#reader = new DatabaseSync(options.file, { readOnly: true });
    this.#reader.exec("PRAGMA busy_timeout = 5000");
    this.#writing = queriesOver(new StatementCache(this.#writer), ({ writes }) => {
      for (const table of writes) this.#touched.add(table);
    });
    this.#readerStatements = new StatementCache(this.#reader);
    this.read = queriesOver(this.#readerStatements, () => {});
  }

  tx<T>(fn: (t: Tx) => Promise<T>): Promise<T> {
    if (this.#closed) return Promise.reject(closedError());
    return new Promise<T>((resolve, reject) => {
      this.#queue.push({ run: fn, resolve: resolve as (value: unknown) => void, reject });
      // One turn of the event loop lets every request that has already arrived join the same commit.
      this.#draining ??= new Promise<void>((done) => setImmediate(() => void this.#drain().finally(done)));
    });
  }

  reading(): Reading {
    const seen = new Map<string, number>();
    const queries = queriesOver(this.#readerStatements, ({ reads }) => {
      for (const table of reads) if (!seen.has(table)) seen.set(table, this.#writesTo(table));
    });
    return { ...queries, isCurrent: () => seen.entries().every(([table, count]) => this.#writesTo(table) === count) };
  }

  listen(channel: string, listener: (payload: string) => void): Unlisten {
    return this.#hub.listen(channel, listener);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#draining;
    this.#reader.close();
    this.#writer.close();
  }

  async #drain(): Promise<void> {
    while (this.#queue.length > 0) await this.#commitGroup(this.#queue.splice(0, MAX_GROUP));
    this.#draining = undefined;
  }

  async #commitGroup(group: Job[]): Promise<void> {
    const settled: (() => void)[] = [];
    const notices: [string, string][] = [];
    const control = this.#control;
    try {
      control.begin.run();
      for (const job of group) {
        const notified = new Map<string, [string, string]>();
        control.save.run();
        try {
          const value = await job.run(this.#transaction(notified));
          control.release.run();
          notices.push(...notified.values());
          settled.push(() => job.resolve(value));
        } catch (error) {
          control.rollBackTo.run();
          control.release.run();
          settled.push(() => job.reject(error));
        }
      }
      control.commit.run();
    } catch (error) {
      if (this.#writer.isTransaction) this.#writer.exec("ROLLBACK");
      for (const job of group) job.reject(error);
      return;
    } finally {
      this.#countWrites();
    }
    for (const settle of settled) settle();
    for (const [channel, payload] of notices) this.#hub.publish(channel, payload);
  }

  #writesTo(table: string): number {
    return this.#writes.get(table) ?? 0;
  }

  #countWrites(): void {
    for (const table of this.#touched) this.#writes.set(table, this.#writesTo(table) + 1);
    this.#touched.clear();
  }

  #transaction(notified: Map<string, [string, string]>): Tx {
    return {
      ...this.#writing,
      inTransaction: true,
      notify: (channel, payload) => void notified.set(`${channel}\n${payload}`, [channel, payload]),
    };
  }
}

/** The statements around every transaction, parsed once. */
type TransactionControl = Readonly<Record<"begin" | "save" | "release" | "rollBackTo" | "commit", StatementSync>>;

/** The database holds secrets; the files beside it get the mode of the database's own from SQLite when it makes them. */
function keepPrivate(file: string): void {
  closeSync(openSync(file, "a", 0o600));
  for (const path of [file, `${file}-wal`, `${file}-shm`]) if (existsSync(path)) chmodSync(path, 0o600);
}

function transactionControl(database: DatabaseSync): TransactionControl {
  return {
    begin: database.prepare("BEGIN IMMEDIATE"),
    save: database.prepare("SAVEPOINT job"),
    release: database.prepare("RELEASE job"),
    rollBackTo: database.prepare("ROLLBACK TO job"),
    commit: database.prepare("COMMIT"),
  };
}

function closedError(): CloudError {
  return new CloudError("unavailable", "store.closed", "The service is shutting down.");
}

/** `use` hears of every statement before it runs. */
function queriesOver(statements: StatementCache, use: (statement: TrackedStatement) => void): Queries {
  const used = (sql: string): TrackedStatement => {
    const statement = statements.get(sql);
    use(statement);
    return statement;
  };
  let kysely: Kysely<unknown> | undefined;
  return {
    dialect: "sqlite",
    tables: <Tables>() => {
      kysely ??= new Kysely({ dialect: new SqliteDialect({ database: { close: () => {}, prepare: used } }) });
      return kysely as Kysely<Tables>;
    },
    run: async ({ sql }, parameters) => {
      const statement = used(sql);
      if (statement.reader) return statement.all(parameters);
      statement.run(parameters);
      return [];
    },
  };
}
