import { chmodSync, closeSync, existsSync, openSync } from "node:fs";
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { Kysely, SqliteDialect, type SqliteStatement } from "kysely";
import { CloudError } from "../errors/cloud-error.ts";
import { ChannelHub } from "./channel-hub.ts";
import type { Queries, Store, Tx, Unlisten } from "./store.ts";

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
/** Kept per connection. Texts with lists of any length would otherwise pile up. */
const MAX_STATEMENTS = 1000;

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
  readonly #hub = new ChannelHub();
  readonly #writing: Queries;
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
    this.#writing = queriesOver(this.#writer);
    this.read = queriesOver(this.#reader);
  }

  tx<T>(fn: (t: Tx) => Promise<T>): Promise<T> {
    if (this.#closed) return Promise.reject(closedError());
    return new Promise<T>((resolve, reject) => {
      this.#queue.push({ run: fn, resolve: resolve as (value: unknown) => void, reject });
      // One turn of the event loop lets every request that has already arrived join the same commit.
      this.#draining ??= new Promise<void>((done) => setImmediate(() => void this.#drain().finally(done)));
    });
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
    }
    for (const settle of settled) settle();
    for (const [channel, payload] of notices) this.#hub.publish(channel, payload);
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

function queriesOver(database: DatabaseSync): Queries {
  const statements = new StatementCache(database);
  const dialect = new SqliteDialect({ database: { close: () => {}, prepare: (sql) => statements.get(sql) } });
  const kysely = new Kysely<unknown>({ dialect });
  return {
    dialect: "sqlite",
    tables: <Tables>() => kysely as unknown as Kysely<Tables>,
    run: async ({ sql }, parameters) => {
      const statement = statements.get(sql);
      if (statement.reader) return statement.all(parameters);
      statement.run(parameters);
      return [];
    },
  };
}

/** Statements, parsed once per text. */
class StatementCache {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, SqliteStatement>();

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  get(sql: string): SqliteStatement {
    let statement = this.#statements.get(sql);
    if (!statement) {
      if (this.#statements.size >= MAX_STATEMENTS) this.#statements.clear();
      statement = asKyselyStatement(this.#database.prepare(sql));
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

function asKyselyStatement(statement: StatementSync): SqliteStatement {
  return {
    reader: statement.columns().length > 0,
    all: (parameters) => statement.all(...(parameters as SQLInputValue[])),
    run: (parameters) => statement.run(...(parameters as SQLInputValue[])),
    iterate: (parameters) => statement.iterate(...(parameters as SQLInputValue[])) as IterableIterator<unknown>,
  };
}
