import { readFileSync, statSync, watch } from "node:fs";
import { basename, dirname } from "node:path";
import { isMap, isScalar, LineCounter, parseDocument } from "yaml";
import type { Clock, Timer } from "../clock/clock.ts";
import { CloudError } from "../errors/cloud-error.ts";

/** Where an operator's overrides come from. */
export interface PolicyFile {
  readonly path: string;
  /** Null when there is no such file. */
  read(): string | null;
  /** Calls back after the file has changed and come to rest. */
  watch(onChange: () => void): { close(): void };
}

export interface Override {
  readonly name: string;
  readonly rule: string;
  /** 1-based. */
  readonly line: number;
}

/**
 * Reads `name: "rule"` pairs from YAML or JSON text. Throws CloudError("invalid", "policy.file") naming the line, also in
 * `fields.line`.
 */
export function parsePolicyFile(path: string, text: string): Override[] {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const problem = document.errors[0] ?? document.warnings[0];
  if (problem) throw policyFileError(path, lines.linePos(problem.pos[0]).line, problem.message);
  if (document.contents === null || (isScalar(document.contents) && document.contents.value === null)) return [];
  if (!isMap(document.contents)) throw policyFileError(path, 1, "must hold `name: rule` pairs");
  return document.contents.items.map(({ key, value }) => {
    const line = isScalar(key) && key.range ? lines.linePos(key.range[0]).line : 1;
    if (!isScalar(key) || typeof key.value !== "string") throw policyFileError(path, line, "a rule name must be text");
    // An unquoted `!` is a YAML tag on empty text: meant as "never", it would read as "always".
    if (!isScalar(value) || typeof value.value !== "string" || value.tag !== undefined)
      throw policyFileError(path, line, `the rule of ${key.value} must be text in quotes`);
    return { name: key.value, rule: value.value, line };
  });
}

export function policyFileError(path: string, line: number, problem: string, cause?: unknown): CloudError {
  return new CloudError("invalid", "policy.file", `${path} line ${line}: ${problem}`, {
    fields: { path, line },
    ...(cause === undefined ? {} : { cause }),
  });
}

/**
 * The file on disk. Notices changes by the kernel's events and, for file systems without them, by looking at its time of
 * change every `pollMs`. A change counts only once the file looks the same twice, `settleMs` apart, so that a file caught
 * half-written or between unlink and create never takes effect.
 */
export function policyFileOnDisk(
  path: string,
  clock: Clock,
  { pollMs = 5000, settleMs = 250 }: { pollMs?: number; settleMs?: number } = {},
): PolicyFile {
  return {
    path,
    read: () => unlessAbsent(() => readFileSync(path, "utf8")),
    watch(onChange) {
      let accepted = stamp(path);
      let lastSeen = accepted;
      let settling: Timer | undefined;
      let polling: Timer | undefined;
      const look = () => {
        const now = stamp(path);
        if (now === accepted) {
          lastSeen = now;
        } else if (now === lastSeen) {
          accepted = now;
          onChange();
        } else {
          lastSeen = now;
          settling?.cancel();
          settling = clock.after(settleMs, look);
        }
      };
      const poll = () => {
        polling = clock.after(pollMs, poll);
        if (stamp(path) !== lastSeen) look();
      };
      polling = clock.after(pollMs, poll);
      // The folder, not the file: editors replace files, and a watch on the old one would see nothing more.
      const watcher = unlessAbsent(() => watch(dirname(path), { persistent: false }));
      watcher?.on("change", (_, name) => {
        if ((name === null || name.toString() === basename(path)) && stamp(path) !== lastSeen) look();
      });
      watcher?.on("error", () => watcher.close());
      return {
        close() {
          watcher?.close();
          settling?.cancel();
          polling?.cancel();
        },
      };
    },
  };
}

/** Changes whenever the file does, also when it goes or becomes unreadable. */
function stamp(path: string): string {
  try {
    const stats = statSync(path, { bigint: true });
    return `${stats.ino}:${stats.size}:${stats.mtimeNs}`;
  } catch (error) {
    return error instanceof Error && "code" in error ? String(error.code) : "unknown";
  }
}

function unlessAbsent<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}
