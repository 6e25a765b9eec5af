import { existsSync, readFileSync, statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { Children } from "./child.ts";
import { type PlannedStage, type StageName, shards } from "./stages.ts";

/** What node's test runner counts at its end. */
export interface Counts {
  tests: number;
  pass: number;
  fail: number;
  cancelled: number;
  skipped: number;
  todo: number;
}

export interface StageEnd {
  passed: boolean;
  /** Absent for stages that are not node tests. */
  counts?: Counts;
  /** Said in the summary. */
  note?: string;
}

export interface StageContext {
  root: string;
  children: Children;
  env: NodeJS.ProcessEnv;
  /** For our own files; the tests' temporary folder is in `env`. */
  runFolder: string;
  /** Show every test, for a person; else a dot each, and failures in full. */
  verbose: boolean;
  say: (line: string) => void;
}

const TOOLS: Partial<Record<StageName, readonly string[]>> = {
  types: ["node_modules/typescript/bin/tsc", "--noEmit"],
  lint: ["node_modules/@biomejs/biome/bin/biome", "check"],
};

/** How long a file takes its weight tells badly: with more shards than cores, whoever is done early takes one more. */
const SHARDS_PER_CORE = 6;

export async function runStage({ stage, files }: PlannedStage, context: StageContext): Promise<StageEnd> {
  const { children, env, root } = context;
  const limitMs = stage.stageMinutes * 60_000;
  const tool = TOOLS[stage.name];
  if (tool) {
    const end = await children.run([process.execPath, ...tool], { env, cwd: root, show: true, limitMs });
    return { passed: end.code === 0, ...(end.timedOut ? { note: tookTooLong(stage.stageMinutes) } : {}) };
  }
  const shared = stage.processes === "shared";
  const cores = availableParallelism();
  const groups = shared ? shards(files.map(weighed(root)), cores * SHARDS_PER_CORE) : [[...files]];
  const ends = await inTurn(groups, cores, async (group, index) => {
    const tap = join(context.runFolder, `${stage.name}-${index}.tap`);
    const argv = [process.execPath, ...nodeFlags(stage.processes, stage.testMinutes, tap, context.verbose), ...group];
    const end = await children.run(argv, { env, cwd: root, show: groups.length === 1, limitMs });
    if (end.output.trim() !== "") context.say(end.output.trimEnd());
    return { ...end, counts: readCounts(tap) };
  });
  const counts = ends.map((end) => end.counts ?? zero()).reduce(addCounts, zero());
  const complete = ends.every((end) => end.counts !== null);
  const passed = complete && ends.every((end) => end.code === 0) && counts.fail === 0 && counts.cancelled === 0;
  if (ends.some((end) => end.timedOut)) return { passed: false, counts, note: tookTooLong(stage.stageMinutes) };
  return { passed, counts, ...(complete ? {} : { note: "a test process ended before its tests" }) };
}

/** `work` for each, so many at a time; what they return, in order. */
async function inTurn<T, R>(
  all: readonly T[],
  atOnce: number,
  work: (one: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  const waiting = all.entries();
  const worker = async () => {
    for (const [index, one] of waiting) results[index] = await work(one, index);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return results;
}

function nodeFlags(processes: "shared" | number, testMinutes: number, tapFile: string, verbose: boolean): string[] {
  const isolation =
    processes === "shared"
      ? ["--test-isolation=none"]
      : ["--test-isolation=process", `--test-concurrency=${processes}`];
  const reporters = [
    [`--test-reporter=${verbose ? "spec" : "dot"}`, "--test-reporter-destination=stdout"],
    ["--test-reporter=tap", `--test-reporter-destination=${tapFile}`],
  ].flat();
  const limit = `--test-timeout=${testMinutes * 60_000}`;
  return ["--disable-warning=ExperimentalWarning", "--test", ...isolation, limit, ...reporters];
}

/** A fault matrix does what it says once for each of its many cases. */
const MATRIX_WEIGHT = 20;

const weighed = (root: string) => (path: string) => {
  const { size } = statSync(join(root, path));
  return { path, weight: path.endsWith(".matrix.test.ts") ? size * MATRIX_WEIGHT : size };
};

/** From the closing lines of node's TAP output; null when the process ended before it had written them. */
function readCounts(tapFile: string): Counts | null {
  const tap = existsSync(tapFile) ? readFileSync(tapFile, "utf8") : "";
  const lines = new Map([...tap.matchAll(/^# (\w+) (\d+)$/gm)].map(([, name, number]) => [name, Number(number)]));
  if (!COUNT_NAMES.every((name) => lines.has(name))) return null;
  const counts = zero();
  for (const name of COUNT_NAMES) counts[name] = lines.get(name) ?? 0;
  return counts;
}

export function addCounts(a: Counts, b: Counts): Counts {
  const sum = zero();
  for (const name of COUNT_NAMES) sum[name] = a[name] + b[name];
  return sum;
}

export function zero(): Counts {
  return { tests: 0, pass: 0, fail: 0, cancelled: 0, skipped: 0, todo: 0 };
}

export const COUNT_NAMES = ["tests", "pass", "fail", "cancelled", "skipped", "todo"] as const;

const tookTooLong = (minutes: number) => `ended after ${minutes} minutes`;
