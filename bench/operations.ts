import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sql } from "kysely";
import { systemClock } from "../kernel/clock/clock.ts";
import { systemIds } from "../kernel/ids/ids.ts";
import { silentLogger } from "../kernel/log/logger.ts";
import { OperationControl } from "../kernel/operations/control.ts";
import { OperationRunner } from "../kernel/operations/runner.ts";
import { FINAL_STATES, type OperationTables, operationMigrations } from "../kernel/operations/tables.ts";
import { fiveSteps, recorded } from "../kernel/operations/testing/recorded-operations.ts";
import { counterMigration } from "../kernel/store/counters.ts";
import { migrate } from "../kernel/store/migrate.ts";
import { PostgresStore } from "../kernel/store/postgres-store.ts";
import { SqliteStore } from "../kernel/store/sqlite-store.ts";
import type { Store } from "../kernel/store/store.ts";
import { openPostgres } from "../kernel/store/testing/stores.ts";
import { median } from "./support/load.ts";
import { publish } from "./support/section.ts";

/** Start and five durable steps, sixteen operations at a time, on each store. */
const AT_ONCE = 16;
const ROUNDS = Number(process.argv[2] ?? 5);
const migrations = [counterMigration, ...operationMigrations];

/** How often per second of the clock, and what each costs this process, microseconds. */
interface Cost {
  readonly rate: number;
  readonly cpuUs: number;
}

async function timed(count: number, act: () => Promise<void>): Promise<Cost> {
  const before = process.cpuUsage();
  const begun = performance.now();
  await act();
  const took = performance.now() - begun;
  const { user, system } = process.cpuUsage(before);
  return { rate: (count / took) * 1000, cpuUs: (user + system) / count };
}

async function runOperations(store: Store, count: number): Promise<Cost> {
  const definition = fiveSteps(recorded());
  const control = new OperationControl(systemClock, systemIds);
  const runner = new OperationRunner({
    store,
    clock: systemClock,
    log: silentLogger,
    callers: { caller: () => () => Promise.reject(new Error("nothing is called")) },
    definitions: [definition],
    owner: systemIds.uuid(),
    maxRunning: AT_ONCE,
  });
  await runner.start();
  let next = 0;
  const cost = await timed(count, async () => {
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        while (next < count) {
          next += 1;
          await store.tx((t) => control.start(t, definition, { input: {}, resourceId: systemIds.uuid() }));
        }
      }),
    );
    while ((await unfinished(store)) > 0) await new Promise((resolve) => setTimeout(resolve, 20));
  });
  await runner.stop();
  return cost;
}

async function unfinished(store: Store): Promise<number> {
  const row = await store.read
    .tables<OperationTables>()
    .selectFrom("operations")
    .select((eb) => eb.fn.countAll<number>().as("count"))
    .where("state", "not in", FINAL_STATES)
    .executeTakeFirstOrThrow();
  return Number(row.count);
}

/** Durable one-row transactions, sixteen at a time: the floor under any durable step. */
async function runCommits(store: Store, count: number): Promise<Cost> {
  await store.tx(async (t) => void (await sql`CREATE TABLE IF NOT EXISTS bare (id bigint)`.execute(t.tables())));
  let next = 0;
  const act = () =>
    Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        while (next < count) {
          const id = next++;
          await store.tx(async (t) => void (await sql`INSERT INTO bare VALUES (${id})`.execute(t.tables())));
        }
      }),
    );
  return await timed(count, async () => void (await act()));
}

async function measure(what: string, store: Store, count: number): Promise<string[]> {
  await runOperations(store, count);
  const ours: Cost[] = [];
  const bare: Cost[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    ours.push(await runOperations(store, count));
    bare.push(await runCommits(store, count * 4));
  }
  const of = (costs: readonly Cost[], key: keyof Cost) => median(costs.map((cost) => cost[key]));
  const [cpu, bareCpu] = [of(ours, "cpuUs"), of(bare, "cpuUs")];
  return [
    what,
    `${of(ours, "rate").toFixed(0)}/s`,
    `${cpu.toFixed(0)} µs`,
    `${(1e6 / cpu).toFixed(0)}/s`,
    `${of(bare, "rate").toFixed(0)}/s`,
    `${bareCpu.toFixed(0)} µs`,
    `**${(cpu / bareCpu).toFixed(1)}**`,
  ];
}

const folder = await mkdtemp(join(tmpdir(), "pileus-bench-"));
const sqlite = new SqliteStore({ file: join(folder, "bench.db") });
await migrate(sqlite, migrations, systemClock);
const rows = [await measure("SQLite", sqlite, 1000)];
await sqlite.close();
await rm(folder, { recursive: true });
if (process.env.PILEUS_TEST_POSTGRES) {
  const opened = await openPostgres(migrations);
  // With as many connections as a server has; tests make do with fewer.
  const store = await PostgresStore.open({ url: opened.url, log: silentLogger });
  rows.push(await measure("PostgreSQL", store, 300));
  await store.close();
  await opened.dispose();
}
await publish({
  name: "operations",
  title: "Operations engine",
  how: `Start and five steps (two in transactions, three effects that do nothing), ${AT_ONCE} at a time, every step durable before the next. Baseline: bare one-row durable transactions of the same store, ${AT_ONCE} at a time; an operation is about seven of them. Median of ${ROUNDS} rounds. PostgreSQL needs PILEUS_TEST_POSTGRES.`,
  head: ["store", "operations", "CPU each", "per core", "bare commits", "CPU each", "CPU ratio"],
  rows,
});
