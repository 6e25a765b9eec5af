import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SqliteStore } from "../kernel/store/sqlite-store.ts";
import { benchCloud } from "./support/cloud.ts";
import { type MeasuredLoad, median, underLoad } from "./support/load.ts";
import { publish } from "./support/section.ts";

/** Accepting actions: token, policy, state change, durable row, answer. The runner rests, so that only accepting is measured. */
const ROUNDS = Number(process.argv[2] ?? 5);
const COUNT = 4000;
const CONNECTIONS = 16;

const cloud = await benchCloud({ hosts: 2, logLevel: "info" });
const { server } = cloud.program;
const ids = await cloud.addServers(COUNT * (ROUNDS + 1), 2);
await server.runner.stop();
const measure = (body: unknown, part: readonly string[]): Promise<MeasuredLoad> =>
  underLoad({
    address: server.address,
    method: "POST",
    paths: part.map((id) => `/compute/v2.1/servers/${id}/action`),
    headers: { ...cloud.headers, "Content-Type": "application/json" },
    body: JSON.stringify(body),
    connections: CONNECTIONS,
    count: part.length,
    limitMs: 60_000,
  });

/** Durable one-row transactions, sixteen at a time: what this disk and this store can do at all. */
async function bareCommits(): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), "pileus-bench-"));
  const store = new SqliteStore({ file: join(folder, "bare.db") });
  const tables = () => store.read.tables<{ bare: { id: number } }>();
  await store.tx(async (t) => void (await t.tables().schema.createTable("bare").addColumn("id", "integer").execute()));
  let next = 0;
  const begun = performance.now();
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      while (next < COUNT) {
        const id = next++;
        await store.tx(
          async (t) => void (await t.tables<{ bare: { id: number } }>().insertInto("bare").values({ id }).execute()),
        );
      }
    }),
  );
  const took = performance.now() - begun;
  await tables().selectFrom("bare").select("id").limit(1).execute();
  await store.close();
  await rm(folder, { recursive: true });
  return (COUNT / took) * 1000;
}

const rows: string[][] = [];
/** Every round changes every server that it asks for: an action that finds nothing to do would cost less. */
for (const [what, actions, fresh] of [
  ["lock, unlock (no operation)", ["lock", "unlock"], false],
  ["os-stop", ["os-stop"], true],
] as const) {
  const results: MeasuredLoad[] = [];
  const bares: number[] = [];
  for (let round = 0; round <= ROUNDS; round += 1) {
    const part = fresh ? ids.slice(round * COUNT, (round + 1) * COUNT) : ids.slice(0, COUNT);
    const result = await measure({ [actions[round % actions.length] ?? ""]: null }, part);
    if (result.statuses["202"] !== result.requests) throw new Error(`${what}: ${JSON.stringify(result.statuses)}`);
    // The first round warms up.
    if (round > 0) {
      results.push(result);
      bares.push(await bareCommits());
    }
  }
  const cpu = median(results.map((each) => each.cpuUs));
  const rate = median(results.map((each) => (each.requests / each.tookMs) * 1000));
  const bare = median(bares);
  rows.push([
    what,
    `${rate.toFixed(0)}/s`,
    `${cpu.toFixed(0)} µs`,
    `**${(1e6 / cpu).toFixed(0)}/s**`,
    `${median(results.map((each) => each.p50Ms)).toFixed(1)} / ${median(results.map((each) => each.p99Ms)).toFixed(1)} ms`,
    `${bare.toFixed(0)}/s`,
    `${((rate / bare) * 100).toFixed(0)} %`,
  ]);
}
await cloud.program.close();
await publish({
  name: "accept",
  title: "Accepting actions",
  how: `POST of server actions, ${CONNECTIONS} connections, SQLite with fsync, log lines written; runner at rest. CPU is of the serving process, so 1/CPU is what one core of its own would do. Baseline: bare one-row durable transactions of the same store, ${CONNECTIONS} at a time, between the rounds. Median of ${ROUNDS} rounds of ${COUNT}.`,
  head: ["action", "rate", "CPU", "per core (goal ≥ 3000/s)", "p50 / p99", "bare commits", "share of them"],
  rows,
  notes: [
    "The peer, with fake drivers: Nova POST os-resetState 27/s, 68 ms CPU.",
    "What is left of os-stop, in a profile by wall time: half is SQLite writing the rows, their indexes and the log, and syncing it once a group; a tenth each are reading rows for the checks and sending the answer; 2 % is the log line. No one cost is left that is large. Rounds before 2026-11-21 05:15 locked servers that were locked, which writes nothing.",
  ],
});
