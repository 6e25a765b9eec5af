import { openSync, renameSync, statSync, writeSync } from "node:fs";

/** At a start, a file above this becomes the `.1` of the new one. */
const LARGE_BYTES = 20 * 2 ** 20;

/** Options for `Loggers` that send every line to a file of ours alone, before the line after it is made. */
export function logDestination(path: string | undefined): { destination?: { write(line: string): void } } {
  if (path === undefined) return {};
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > LARGE_BYTES) renameSync(path, `${path}.1`);
  const file = openSync(path, "a", 0o600);
  return { destination: { write: (line) => void writeSync(file, line) } };
}
