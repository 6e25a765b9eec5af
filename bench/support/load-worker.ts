import { Agent, request } from "node:http";
import type { LoadOrder, LoadResult } from "./load.ts";

/** One process that asks as fast as the answers come. Bounded by count and time; only for addresses of this machine. */
process.once("message", (order: LoadOrder) => {
  void load(order).then((result) => process.send?.(result, () => process.disconnect?.()));
});

async function load(order: LoadOrder): Promise<LoadResult> {
  if (!order.address.startsWith("http://127.0.0.")) throw new Error(`${order.address} is not this machine`);
  const agent = new Agent({ keepAlive: true, maxSockets: order.connections });
  const until = performance.now() + order.limitMs;
  const latencies: number[] = [];
  const statuses: Record<string, number> = {};
  let next = 0;
  let bytes = 0;
  const ask = (index: number): Promise<void> => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const begun = performance.now();
    const path = order.paths[index % order.paths.length] ?? "/";
    const sent = request(order.address + path, { method: order.method, agent, headers: order.headers }, (response) => {
      response.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
      });
      response.on("end", () => {
        latencies.push(performance.now() - begun);
        const status = String(response.statusCode);
        statuses[status] = (statuses[status] ?? 0) + 1;
        resolve();
      });
    });
    sent.on("error", reject);
    sent.end(order.body);
    return promise;
  };
  const connection = async () => {
    while (next < order.count && performance.now() < until) {
      next += 1;
      await ask(next - 1);
    }
  };
  const begun = performance.now();
  await Promise.all(Array.from({ length: order.connections }, connection));
  const tookMs = performance.now() - begun;
  agent.destroy();
  latencies.sort((a, b) => a - b);
  const at = (share: number) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? 0;
  return { requests: latencies.length, tookMs, p50Ms: at(0.5), p99Ms: at(0.99), bytes, statuses };
}
