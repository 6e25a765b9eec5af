import { constants, type DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import type { SqliteStatement } from "kysely";

/** A parsed statement, with the names of the tables that running it reads and writes, those of foreign keys among them. */
export interface TrackedStatement extends SqliteStatement {
  readonly reads: ReadonlySet<string>;
  readonly writes: ReadonlySet<string>;
}

/** Stands for whatever changes tables themselves; every statement reads it. */
const SCHEMA = "sqlite_schema";
/** Kept per connection. Texts with lists of any length would otherwise pile up. */
const MAX_STATEMENTS = 1000;

/** The statements of one connection, parsed once per text. SQLite itself says what each touches, while it parses. */
export class StatementCache {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, TrackedStatement>();
  #reads = new Set<string>();
  #writes = new Set<string>();

  constructor(database: DatabaseSync) {
    this.#database = database;
    database.setAuthorizer((action, subject) => this.#touches(action, subject ?? ""));
  }

  get(sql: string): TrackedStatement {
    let statement = this.#statements.get(sql);
    if (!statement) {
      if (this.#statements.size >= MAX_STATEMENTS) this.#statements.clear();
      statement = this.#prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  #prepare(sql: string): TrackedStatement {
    this.#reads = new Set([SCHEMA]);
    this.#writes = new Set();
    const statement = this.#database.prepare(sql);
    return { ...asKyselyStatement(statement), reads: this.#reads, writes: this.#writes };
  }

  #touches(action: number, subject: string): number {
    switch (action) {
      case constants.SQLITE_READ:
        this.#reads.add(subject);
        break;
      case constants.SQLITE_INSERT:
      case constants.SQLITE_UPDATE:
      case constants.SQLITE_DELETE:
        this.#writes.add(subject);
        break;
      case constants.SQLITE_SELECT:
      case constants.SQLITE_FUNCTION:
      case constants.SQLITE_RECURSIVE:
      case constants.SQLITE_TRANSACTION:
      case constants.SQLITE_SAVEPOINT:
        break;
      default:
        this.#writes.add(SCHEMA);
    }
    return constants.SQLITE_OK;
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
