import assert from "node:assert/strict";
import { test } from "node:test";
import type { Logger } from "../log/logger.ts";
import { onBothStores } from "../store/testing/stores.ts";
import { operation } from "./definition.ts";
import { Crash, type HookPoint } from "./hooks.ts";
import { type Gate, gate, OperationsBench } from "./testing/operations-bench.ts";
import { effectStep, fiveSteps, recorded } from "./testing/recorded-operations.ts";

const LEASE_MS = 30_000;

function crashOnce(step: string, when: HookPoint["when"], phase: HookPoint["phase"] = "do") {
  let crashed = false;
  return (point: HookPoint) => {
    if (crashed || point.step !== step || point.when !== when || point.phase !== phase) return;
    crashed = true;
    throw new Crash();
  };
}

onBothStores("leases", (open) => {
  for (const [step, when] of [
    ["a", "worked"],
    ["b", "before"],
    ["b", "worked"],
    ["b", "journaled"],
    ["e", "worked"],
  ] as const) {
    test(`a runner that dies at ${step} ${when} is replaced when its lease has run out`, async () => {
      const record = recorded();
      const definition = fiveSteps(record);
      const bench = await OperationsBench.open(open, { definitions: [definition] });
      const id = await bench.start(definition, null);
      await bench.runner({ hook: crashOnce(step, when) }).drain();
      assert.equal((await bench.show(id)).state, "running");
      const second = bench.runner({ store: await bench.again() });
      await second.drain();
      assert.equal((await bench.show(id)).state, "running");
      bench.clock.advance(LEASE_MS);
      await second.drain();
      assert.equal((await bench.show(id)).state, "done");
      const repeats = record.log.filter((l) => l === `do:${step}`).length;
      assert.equal(repeats, when === "worked" ? 2 : 1);
    });
  }

  test("a runner that was replaced can write nothing more", async () => {
    const holds: Gate[] = [gate(), gate()];
    let calls = 0;
    const epochs: number[] = [];
    const definition = operation<null>("test.replaced", { deadlineMs: 1e9, resource: "thing" })
      .step("work", {
        effect: async (a, { operation: op }) => {
          epochs.push(op.epoch);
          const mine = calls;
          calls += 1;
          await holds[mine]?.pass();
          a.progress(100);
          return mine;
        },
      })
      .build();
    const bench = await OperationsBench.open(open, { definitions: [definition] });
    const id = await bench.start(definition, null);
    const first = bench.drain();
    await holds[0]?.reached;
    bench.clock.advance(LEASE_MS);
    const second = bench.runner({ store: await bench.again() }).drain();
    await holds[1]?.reached;
    holds[0]?.open();
    await first;
    assert.equal((await bench.show(id)).state, "running");
    holds[1]?.open();
    await second;
    assert.equal((await bench.show(id)).state, "done");
    assert.equal((await bench.steps(id))[0]?.output, "1");
    assert.ok((epochs[1] ?? 0) > (epochs[0] ?? 0));
  });

  test("a started runner renews its leases, and lets go at once of what it has lost", async () => {
    const hold = gate();
    const lost = Promise.withResolvers<void>();
    const definition = operation<null>("test.renewed", { deadlineMs: 1e9, resource: "thing" })
      .step("work", {
        effect: async (a) => {
          a.signal.addEventListener("abort", () => lost.resolve());
          await hold.pass();
        },
      })
      .build();
    const bench = await OperationsBench.open(open, { definitions: [definition] });
    const runner = bench.runner();
    await runner.start();
    const id = await bench.start(definition, null);
    await hold.reached;
    const before = (await bench.show(id)).run_at ?? 0;
    bench.clock.advance(LEASE_MS / 3);
    while (((await bench.show(id)).run_at ?? 0) <= before) await new Promise((r) => setImmediate(r));
    await bench.tx((t) => bench.control.abandon(t, id));
    await lost.promise;
    hold.open();
    await runner.stop();
    assert.equal((await bench.show(id)).state, "abandoned");
    assert.equal(bench.clock.pendingTimers, 0);
  });

  test("a started runner works on notification and on timers; a stopped one hands its work over", async () => {
    const record = recorded();
    const hold = gate();
    const definition = operation<null>("test.handover", { deadlineMs: 1e9, resource: "thing" })
      .step("one", effectStep(record, "one"))
      .step("wait", {
        effect: async (a, c) => (a.attempt === 0 ? a.wait({ untilMs: c.operation.createdAt + 100 }) : undefined),
      })
      .step("work", { effect: () => hold.pass() })
      .build();
    const bench = await OperationsBench.open(open, { definitions: [definition] });
    const runner = bench.runner();
    await runner.start();
    const id = await bench.start(definition, null);
    while ((await bench.show(id)).state !== "waiting") await new Promise((r) => setImmediate(r));
    // The timer is set only after the runner's look at the store, so time has to pass until it is.
    let reached = false;
    void hold.reached.then(() => {
      reached = true;
    });
    while (!reached) {
      bench.clock.advance(100);
      await new Promise((r) => setImmediate(r));
    }
    await runner.stop();
    assert.deepEqual([(await bench.show(id)).state, runner.runningCount], ["ready", 0]);
    hold.open();
    await bench.drain();
    assert.equal((await bench.show(id)).state, "done");
  });

  test("an operation past its deadline is reported once and goes on", async () => {
    const alerts: string[] = [];
    const log: Logger = {
      debug: () => {},
      info: () => {},
      warn: (_fields, message) => void alerts.push(message),
      error: (_fields, message) => void alerts.push(message),
      with: () => log,
    };
    const definition = operation<null>("test.late", { deadlineMs: 15_000, resource: "thing" })
      .step("wait", { effect: async (a) => (a.received("go") ? "done" : a.wait({ signals: ["go"] })) })
      .build();
    const bench = await OperationsBench.open(open, { definitions: [definition], log });
    const runners = [bench.runner(), bench.runner({ store: await bench.again() })];
    for (const runner of runners) await runner.start();
    const id = await bench.start(definition, null);
    for (let i = 0; i < 4; i += 1) {
      bench.clock.advance(LEASE_MS / 3);
      for (let turn = 0; turn < 30; turn += 1) await new Promise((r) => setImmediate(r));
    }
    while ((await bench.show(id)).late === 0) {
      bench.clock.advance(LEASE_MS / 3);
      for (let turn = 0; turn < 30; turn += 1) await new Promise((r) => setImmediate(r));
    }
    for (const runner of runners) await runner.stop();
    assert.deepEqual(alerts, ["operation is past its deadline"]);
    await bench.signal(id, "go");
    await bench.drain();
    assert.equal((await bench.show(id)).state, "done");
  });

  test("an operation that this program does not know is parked, visibly, for one that does", async () => {
    const record = recorded();
    const definition = fiveSteps(record);
    const bench = await OperationsBench.open(open, { definitions: [definition] });
    const id = await bench.start(definition, null);
    await bench.runner({ definitions: [] }).drain();
    const parked = await bench.show(id);
    assert.equal(parked.state, "stuck");
    assert.match(String(parked.trouble), /operation\.unknown/);
    await bench.advance(60_000);
    assert.equal((await bench.show(id)).state, "done");
  });

  test("after a restart where no other process can be, leases of the old one do not count", async () => {
    const record = recorded();
    const definition = fiveSteps(record);
    const bench = await OperationsBench.open(open, { definitions: [definition] });
    const id = await bench.start(definition, null);
    await bench.runner({ hook: crashOnce("b", "worked") }).drain();
    const next = bench.runner();
    await next.start();
    const expected = bench.store.exclusive ? "done" : "running";
    for (let turn = 0; turn < 200 && (await bench.show(id)).state !== expected; turn += 1) {
      await new Promise((r) => setImmediate(r));
    }
    await next.stop();
    assert.equal((await bench.show(id)).state, expected);
  });

  test("a store that fails at a commit is no failure of the step", async () => {
    const record = recorded();
    const definition = fiveSteps(record);
    const bench = await OperationsBench.open(open, { definitions: [definition] });
    const id = await bench.start(definition, null);
    let lost = false;
    const flaky = Object.create(bench.store, {
      tx: {
        value: async (fn: Parameters<typeof bench.store.tx>[0]) => {
          const result = await bench.store.tx(fn);
          // The commit of step a happened, its answer is lost. A claim answers with a list.
          if (lost || record.log.length === 0 || Array.isArray(result)) return result;
          lost = true;
          throw new Error("connection lost");
        },
      },
      read: { value: bench.store.read },
      listen: { value: bench.store.listen.bind(bench.store) },
    }) as typeof bench.store;
    await bench.runner({ store: flaky }).drain();
    assert.deepEqual([(await bench.show(id)).state, (await bench.show(id)).direction], ["running", "forward"]);
    await bench.advance(LEASE_MS);
    assert.deepEqual(record.log, ["do:a", "do:b", "do:c", "do:d", "do:e"]);
    assert.equal((await bench.show(id)).state, "done");
  });
});
