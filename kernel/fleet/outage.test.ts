import assert from "node:assert/strict";
import { test } from "node:test";
import { minutes, seconds } from "../clock/clock.ts";
import { onBothStores } from "../store/testing/stores.ts";
import type { Fleet } from "./fleet.ts";
import { findServiceOn, isUp } from "./services.ts";
import { FleetBench } from "./testing/fleet-bench.ts";

const OUTAGE_MS = minutes(60);

async function up(bench: FleetBench, host: string): Promise<boolean> {
  const row = await findServiceOn(bench.store.read, host, "test-agent");
  assert.ok(row);
  return isUp(row, bench.clock.now(), bench.fleet.settings);
}

async function passWith(bench: FleetBench, ms: number, ...hosts: string[]): Promise<void> {
  for (let left = ms; left > 0; left -= seconds(10)) {
    bench.clock.advance(seconds(10));
    bench.fleet.heartbeat(hosts);
    await bench.fleet.flush();
  }
}

/** Hosts `alive` and `dead`, of which only one is heard, and a process of the server that then ends. */
async function beforeOutage(open: Parameters<typeof FleetBench.open>[0]): Promise<FleetBench> {
  const bench = await FleetBench.open(open);
  await bench.fleet.announceLocal("server-1", "nova-conductor");
  for (const host of ["alive", "dead"]) await bench.boot(host);
  await bench.fleet.flush();
  await passWith(bench, minutes(2), "alive");
  assert.deepEqual([await up(bench, "alive"), await up(bench, "dead")], [true, false]);
  return bench;
}

async function started(bench: FleetBench, name: string): Promise<Fleet> {
  const fleet = bench.newFleet(await bench.again());
  await fleet.announceLocal(name, "nova-conductor");
  return fleet;
}

onBothStores("an outage of the server", (open) => {
  test("is not the silence of hosts: they are given the time they had left; who was dead stays so", async () => {
    const bench = await beforeOutage(open);
    await bench.fleet.close();
    bench.clock.advance(OUTAGE_MS);
    const fleet = await started(bench, "server-1");
    assert.deepEqual([await up(bench, "alive"), await up(bench, "dead")], [true, false]);
    for (let passed = 0; passed < seconds(70); passed += seconds(10)) {
      bench.clock.advance(seconds(10));
      await fleet.flush();
    }
    assert.equal(await up(bench, "alive"), false, "silence counts again");
    await bench.close();
  });

  test("is forgiven once, however many processes start after it", async () => {
    const bench = await beforeOutage(open);
    await bench.fleet.close();
    bench.clock.advance(OUTAGE_MS);
    await Promise.all(["server-1", "server-2", "server-3"].map((name) => started(bench, name)));
    const row = await findServiceOn(bench.store.read, "alive", "test-agent");
    assert.equal(row?.last_seen, bench.clock.now());
    await bench.close();
  });

  test("did not happen when another process was at work", async () => {
    const bench = await beforeOutage(open);
    await passWith(bench, minutes(2));
    assert.equal(await up(bench, "alive"), false);
    await started(bench, "server-2");
    assert.equal(await up(bench, "alive"), false);
    await bench.close();
  });

  test("is more than a server that is slow to beat: a silent host is down all the same", async () => {
    const bench = await beforeOutage(open);
    for (let passed = 0; passed < seconds(72); passed += seconds(12)) {
      bench.clock.advance(seconds(12));
      await bench.fleet.flush();
    }
    assert.equal(await up(bench, "alive"), false);
    await bench.close();
  });

  test("may also be one of the database, or a suspended machine", async () => {
    const bench = await beforeOutage(open);
    bench.clock.advance(OUTAGE_MS);
    await bench.fleet.flush();
    assert.deepEqual([await up(bench, "alive"), await up(bench, "dead")], [true, false]);
    await bench.close();
  });
});
