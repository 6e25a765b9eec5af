/** SQLite's extended result code, and PostgreSQL's SQLSTATE. */
const SQLITE_FOREIGN_KEY = 787;
const POSTGRES_FOREIGN_KEY = "23503";

/** True for the error of a row that others still refer to, or that refers to one that is gone. */
export function isForeignKeyError(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if ("errcode" in error && error.errcode === SQLITE_FOREIGN_KEY) return true;
  return "code" in error && error.code === POSTGRES_FOREIGN_KEY;
}
