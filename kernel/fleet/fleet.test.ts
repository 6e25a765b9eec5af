import assert from "node:assert/strict";
import { test } from "node:test";
import { onBothStores } from "../store/testing/stores.ts";
import type { AgentBoot } from "./fleet.ts";
import { findServiceOn, isUp, listServices, updateService } from "./services.ts";
import { defaultFleetSettings } from "./settings.ts";
import { FleetBench } from "./testing/fleet-bench.ts";

onBothStores("Fleet", (open) => {
  test("a long poll is held until there is something to do", async () => {
    const bench = await FleetBench.open(open);
    let over = false;
    const waiting = bench.poll("a", [], 30_000).finally(() => {
      over = true;
    });
    await bench.until(() => bench.clock.pendingTimers > 0);
    assert.equal(over, false);
    void bench.call(await bench.held(), { host: "a" });
    assert.equal((await waiting).commands.length, 1);
    const quiet = bench.poll("b", [], 30_000);
    await bench.until(() => bench.clock.pendingTimers > 1);
    // Never held longer than the interval at which a host must be heard.
    bench.clock.advance(defaultFleetSettings.reportIntervalMs);
    assert.deepEqual((await quiet).commands, []);
    await bench.close();
  });

  test("heartbeats make a host up, silence makes it down, an operator overrides both", async () => {
    const bench = await FleetBench.open(open);
    await bench.boot("a");
    await bench.boot("b");
    const up = async (host: string) => {
      const row = await findServiceOn(bench.store.read, host, "test-agent");
      assert.ok(row);
      return isUp(row, bench.clock.now(), defaultFleetSettings);
    };
    for (let i = 0; i < 8; i += 1) {
      bench.clock.advance(10_000);
      bench.fleet.heartbeat(["a"]);
      await bench.fleet.flush();
    }
    assert.deepEqual([await up("a"), await up("b")], [true, false]);
    await bench.poll("b");
    await bench.fleet.flush();
    assert.equal(await up("b"), true);
    const row = await findServiceOn(bench.store.read, "b", "test-agent");
    await bench.store.tx((t) => updateService(t, bench.clock, row?.uuid ?? "", { forced_down: 1 }));
    assert.equal(await up("b"), false);
    await bench.boot("b");
    assert.equal(await up("b"), false);
    await bench.close();
  });

  test("a service with backends has a record for each; one that is provided no more falls silent", async () => {
    const bench = await FleetBench.open(open);
    const provide = (...backends: string[]) =>
      bench.fleet.poll("a", {
        bootId: `boot-${backends}`,
        services: backends.map((backend) => {
          const cluster = backend === "shared" ? "pileus@shared" : null;
          return { binary: "cinder-volume", service: "block-storage", backend, zone: "west", facts: {}, cluster };
        }),
        known: [],
        waitMs: 0,
      });
    const up = async () => {
      const rows = await listServices(bench.store.read, { binary: "cinder-volume" });
      return rows.filter((row) => isUp(row, bench.clock.now(), defaultFleetSettings)).map((row) => row.host);
    };
    await provide("shared", "local");
    bench.clock.advance(70_000);
    await bench.poll("a");
    await bench.fleet.flush();
    assert.deepEqual(await up(), ["a@shared", "a@local"]);
    const record = await findServiceOn(bench.store.read, "a@shared", "cinder-volume");
    assert.deepEqual([record?.node, record?.cluster, record?.zone], ["a", "pileus@shared", "west"]);
    void bench.call(await bench.held(), { cluster: "pileus@shared" });
    await bench.stored(1);
    assert.equal((await bench.poll("a")).commands.length, 1);
    await provide("local");
    bench.clock.advance(70_000);
    await bench.poll("a");
    await bench.fleet.flush();
    assert.deepEqual(await up(), ["a@local"]);
    await provide("shared", "local");
    assert.deepEqual(await up(), ["a@shared", "a@local"]);
    await bench.close();
  });

  test("a process of the server itself beats with this process", async () => {
    const bench = await FleetBench.open(open);
    await bench.fleet.announceLocal("server-1", "nova-conductor");
    bench.clock.advance(100_000);
    await bench.fleet.flush();
    const row = await findServiceOn(bench.store.read, "server-1", "nova-conductor");
    assert.equal(row?.last_seen, bench.clock.now());
    await bench.close();
  });

  test("services hear what an agent finds when it starts, and what happens there later", async () => {
    const boots: AgentBoot[] = [];
    const events: string[] = [];
    const listener = {
      booted: async (_t: unknown, boot: AgentBoot) => void boots.push(boot),
      event: async (_t: unknown, host: string, event: { kind: string }) => void events.push(`${host} ${event.kind}`),
    };
    const bench = await FleetBench.open(open, [listener]);
    await bench.boot("a");
    assert.deepEqual(boots[0]?.inventory, { test: [] });
    const event = { service: "test", kind: "died", subject: "thing", facts: {} };
    await bench.fleet.report("a", { results: [], progress: [], events: [event] });
    assert.deepEqual(events, ["a died"]);
    await bench.close();
  });

  test("a host that joins a cluster by way of another process gets its commands here too", async () => {
    const bench = await FleetBench.open(open);
    await bench.boot("a");
    await bench.boot("a", "pool", bench.newFleet(await bench.again()));
    void bench.call(await bench.held(), { cluster: "pool" });
    await bench.stored(1);
    assert.equal((await bench.poll("a")).commands.length, 1);
    await bench.close();
  });

  test("subscribers are woken for commands and for the end of operations", async () => {
    const bench = await FleetBench.open(open);
    const woken: string[] = [];
    const end = bench.fleet.subscribe((host) => woken.push(host));
    const id = await bench.held();
    void bench.call(id, { host: "a" });
    await bench.until(() => woken.length > 0);
    woken.length = 0;
    await bench.store.tx((t) => bench.control.abandon(t, id));
    await bench.until(() => woken.length > 0);
    assert.deepEqual(new Set(woken), new Set(["a"]));
    end();
    await bench.close();
  });
});
