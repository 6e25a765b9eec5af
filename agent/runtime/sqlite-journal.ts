import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { Journal, Outcome } from "./journal.ts";

/** The journal of a real agent: one small file in its state folder, synced on every write. */
export class SqliteJournal implements Journal {
  readonly #db: DatabaseSync;
  readonly #statements: Record<
    "epoch" | "olderEpoch" | "raise" | "begin" | "finish" | "outcome" | "finished" | "keys" | "forget",
    StatementSync
  >;

  /** Opens or creates `file`. */
  constructor(file: string) {
    this.#db = new DatabaseSync(file);
    this.#db.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = FULL;
      CREATE TABLE IF NOT EXISTS epoch (subject TEXT PRIMARY KEY, epoch INTEGER NOT NULL) WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS older_epoch (subject TEXT PRIMARY KEY, epoch INTEGER NOT NULL) WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS command (key TEXT PRIMARY KEY, outcome TEXT) WITHOUT ROWID;
    `);
    this.#statements = {
      epoch: this.#db.prepare("SELECT epoch FROM epoch WHERE subject = ?"),
      olderEpoch: this.#db.prepare("SELECT epoch FROM older_epoch WHERE subject = ?"),
      raise: this.#db.prepare(
        "INSERT INTO epoch (subject, epoch) VALUES (?, ?) ON CONFLICT DO UPDATE SET epoch = max(epoch, excluded.epoch)",
      ),
      begin: this.#db.prepare("INSERT INTO command (key) VALUES (?) ON CONFLICT DO NOTHING"),
      finish: this.#db.prepare(
        "INSERT INTO command (key, outcome) VALUES (?, ?) ON CONFLICT DO UPDATE SET outcome = excluded.outcome",
      ),
      outcome: this.#db.prepare("SELECT outcome FROM command WHERE key = ?"),
      finished: this.#db.prepare("SELECT key, outcome FROM command WHERE outcome IS NOT NULL"),
      keys: this.#db.prepare("SELECT key FROM command WHERE outcome IS NOT NULL"),
      forget: this.#db.prepare("DELETE FROM command WHERE key = ?"),
    };
  }

  highestEpoch(subject: string): number {
    return this.#youngEpoch(subject) ?? epochOf(this.#statements.olderEpoch.get(subject)) ?? -1;
  }

  raiseEpoch(subject: string, epoch: number): void {
    if (epoch === this.#youngEpoch(subject) || epoch < this.highestEpoch(subject)) return;
    this.#statements.raise.run(subject, epoch);
  }

  ageEpochs(): void {
    this.#atOnce(() => {
      this.#db.exec(
        "DELETE FROM older_epoch; INSERT INTO older_epoch SELECT subject, epoch FROM epoch; DELETE FROM epoch",
      );
    });
  }

  begin(key: string, subject: string, epoch: number): void {
    this.#atOnce(() => {
      this.raiseEpoch(subject, epoch);
      this.#statements.begin.run(key);
    });
  }

  finish(key: string, outcome: Outcome): void {
    this.#statements.finish.run(key, JSON.stringify(outcome));
  }

  outcome(key: string): Outcome | undefined {
    const row = this.#statements.outcome.get(key);
    return row?.outcome ? (JSON.parse(String(row.outcome)) as Outcome) : undefined;
  }

  finished(): { key: string; outcome: Outcome }[] {
    return this.#statements.finished
      .all()
      .map((row) => ({ key: String(row.key), outcome: JSON.parse(String(row.outcome)) as Outcome }));
  }

  finishedKeys(): string[] {
    return this.#statements.keys.all().map((row) => String(row.key));
  }

  forget(keys: readonly string[]): void {
    if (keys.length === 0) return;
    this.#atOnce(() => {
      for (const key of keys) this.#statements.forget.run(key);
    });
  }

  close(): void {
    this.#db.close();
  }

  #youngEpoch(subject: string): number | undefined {
    return epochOf(this.#statements.epoch.get(subject));
  }

  #atOnce(write: () => void): void {
    this.#db.exec("BEGIN IMMEDIATE");
    try {
      write();
      this.#db.exec("COMMIT");
    } catch (error) {
      this.#db.exec("ROLLBACK");
      throw error;
    }
  }
}

function epochOf(row: Record<string, unknown> | undefined): number | undefined {
  return row === undefined ? undefined : Number(row.epoch);
}
