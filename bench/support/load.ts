import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

export interface LoadOrder {
  readonly address: string;
  readonly method: string;
  /** Asked in turn. */
  readonly paths: readonly string[];
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly connections: number;
  /** The load ends at whichever comes first. */
  readonly count: number;
  readonly limitMs: number;
}

export interface LoadResult {
  readonly requests: number;
  readonly tookMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly bytes: number;
  /** How many answers had each status. */
  readonly statuses: Readonly<Record<string, number>>;
}

export interface MeasuredLoad extends LoadResult {
  /** What this process, which served it, used: user and system, microseconds per request. */
  readonly cpuUs: number;
}

/** Has another process ask this one, and counts what serving it costs here. */
export async function underLoad(order: LoadOrder): Promise<MeasuredLoad> {
  const worker = fork(join(import.meta.dirname, "load-worker.ts"), { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  await once(worker, "spawn");
  worker.send(order);
  const before = process.cpuUsage();
  const [result] = (await once(worker, "message")) as [LoadResult];
  const { user, system } = process.cpuUsage(before);
  await once(worker, "exit");
  return { ...result, cpuUs: (user + system) / result.requests };
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
