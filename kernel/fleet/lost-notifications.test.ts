import assert from "node:assert/strict";
import { test } from "node:test";
import { systemIds } from "../ids/ids.ts";
import { openPostgres, terminateListeners } from "../store/testing/stores.ts";
import { announceService } from "./services.ts";
import type { FleetTables } from "./tables.ts";
import { FleetBench } from "./testing/fleet-bench.ts";

const skip = process.env.PILEUS_TEST_POSTGRES ? false : "PILEUS_TEST_POSTGRES names no server; npm test starts one";

test("an answer that came while the server was deaf is found once it listens again", {
  skip,
  timeout: 20_000,
}, async () => {
  const bench = await FleetBench.open(openPostgres);
  const answer = bench.call(await bench.held(), { host: "a" }, { timeoutMs: 86_400_000 });
  await bench.stored(1);
  const [command] = (await bench.poll("a")).commands;
  await bench.until(() => bench.fleet.commands.awaited.hosts().has("a"));
  await terminateListeners(bench.store);
  await bench.answer("a", command?.key ?? "", "said to the deaf");
  assert.equal(await answer, "said to the deaf");
  await bench.close();
});

test("a poll that was held while the server was deaf is answered once it listens again", {
  skip,
  timeout: 20_000,
}, async () => {
  const bench = await FleetBench.open(openPostgres);
  const polled = bench.poll("a", [], 10_000);
  await bench.until(() => bench.clock.pendingTimers > 0);
  await terminateListeners(bench.store);
  void bench.call(await bench.held(), { host: "a" });
  assert.equal((await polled).commands.length, 1);
  await bench.close();
});

test("an answer of which no notification came is found by and by", { skip, timeout: 20_000 }, async () => {
  const bench = await FleetBench.open(openPostgres);
  const service = { host: "a", binary: "nova-compute", service: "compute", cluster: null, facts: {}, zone: "nova" };
  await bench.store.tx((t) => announceService(t, { clock: bench.clock, ids: systemIds }, service));
  bench.fleet.start();
  const answer = bench.call(await bench.held(), { host: "a" });
  await bench.until(() => bench.fleet.commands.awaited.hosts().has("a"));
  const found = { state: "done", outcome: JSON.stringify("silently") } as const;
  await bench.store.tx((t) => t.tables<FleetTables>().updateTable("commands").set(found).execute());
  bench.clock.advance(10_000);
  assert.equal(await answer, "silently");
  await bench.close();
});
