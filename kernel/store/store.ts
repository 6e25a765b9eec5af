import type { Kysely } from "kysely";

/** SQL that was compiled before. `name` is the same for the same text, on every connection and in every process. */
export interface Statement {
  readonly sql: string;
  readonly name: string;
}

/** Anything that can run queries. Each service names its own tables: `q.tables<ComputeTables>()`. */
export interface Queries {
  readonly dialect: Store["dialect"];
  tables<Tables>(): Kysely<Tables>;
  /** Runs what `prepared` has compiled, for `Prepared`. */
  run(statement: Statement, parameters: readonly unknown[]): Promise<unknown[]>;
}

/** Committed data, read for an answer that is kept. */
export interface Reading extends Queries {
  /** True while all that was read through it would be read the same again. Always false where others may write, too. */
  isCurrent(): boolean;
}

/**
 * An open transaction. Only queries may be awaited inside: on SQLite other transactions wait for this one.
 * What was written is durable when `Store.tx` resolves.
 */
export interface Tx extends Queries {
  readonly inTransaction: true;
  /**
   * Tells every process on this database, after the commit. Repeats within a transaction are sent once. A process that dies
   * right after its commit may not have told the others: whoever listens must also look by itself now and then.
   */
  notify(channel: string, payload: string): void;
}

export type Unlisten = () => void;

/**
 * Published to this process alone, with an empty payload, when notifications may have been lost with a connection:
 * whoever relies on them looks at the database again.
 */
export const RESYNC_CHANNEL = "store.resync";

/** One database. Two dialects, one schema: text, bigint and double precision columns, booleans as 0/1, times as epoch milliseconds. */
export interface Store {
  readonly dialect: "sqlite" | "postgres";
  /** True when only this process can use the database, so that leases of earlier processes are known to be dead. */
  readonly exclusive: boolean;
  /** Committed data only; cannot write. */
  readonly read: Queries;
  /** As `read`, and tells whether what was read still holds. */
  reading(): Reading;
  tx<T>(fn: (t: Tx) => Promise<T>): Promise<T>;
  listen(channel: string, listener: (payload: string) => void): Unlisten;
  close(): Promise<void>;
}
