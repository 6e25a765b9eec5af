import assert from "node:assert/strict";
import { test } from "node:test";
import { CloudError } from "../errors/cloud-error.ts";
import { onBothStores } from "../store/testing/stores.ts";
import { operation } from "./definition.ts";
import { STUCK_AFTER_ATTEMPTS } from "./retry.ts";
import { OperationsBench } from "./testing/operations-bench.ts";
import { away, broken, fail, fiveSteps, recorded } from "./testing/recorded-operations.ts";

onBothStores("going forward", (open) => {
  test("runs every step once, in order, and hands results on", async () => {
    const record = recorded();
    const seen: unknown[] = [];
    const definition = operation<{ n: number }>("test.results", { deadlineMs: 1000, resource: "thing" })
      .step("one", { tx: async (_t, { input }) => input.n + 1 })
      .step("two", { effect: async (_a, { out }) => ({ twice: out.one * 2 }) })
      .step("three", { tx: async (_t, { out }) => void seen.push(out.one, out.two.twice) })
      .build();
    const bench = await OperationsBench.open(open, { definitions: [definition, fiveSteps(record)] });
    const id = await bench.run(definition, { n: 1 });
    const other = await bench.run(fiveSteps(record), null);
    assert.deepEqual(seen, [2, 4]);
    assert.deepEqual(record.log, ["do:a", "do:b", "do:c", "do:d", "do:e"]);
    assert.deepEqual(await bench.journal(id), ["one:done", "two:done", "three:done"]);
    for (const done of [await bench.show(id), await bench.show(other)]) {
      assert.deepEqual([done.state, done.percent, done.run_at], ["done", 100, null]);
      assert.equal(done.finished_at, bench.clock.now());
    }
  });

  test("an operation ends when its last effect has, however long that takes", async () => {
    const definition = operation<null>("test.slow", { deadlineMs: 60_000, resource: "thing" })
      .step("slow", { effect: async () => void bench.clock.advance(50) })
      .build();
    const bench = await OperationsBench.open(open, { definitions: [definition] });
    const done = await bench.show(await bench.run(definition, null));
    assert.deepEqual([done.state, done.finished_at], ["done", bench.clock.now()]);
  });

  test("a failure before the pivot undoes what had started, newest first, the failed step too", async () => {
    const record = recorded();
    fail(record, "do:c");
    const definition = fiveSteps(record);
    const bench = await OperationsBench.open(open, { definitions: [definition] });
    const id = await bench.run(definition, null);
    assert.deepEqual(record.log, ["do:a", "do:b", "do:c", "undo:c", "undo:b", "undo:a", "failed:test.broken:ab"]);
    assert.equal((await bench.show(id)).state, "undone");
    assert.deepEqual(await bench.fault(id), { kind: "conflict", code: "test.broken", message: "It broke." });
    assert.deepEqual(await bench.journal(id), ["a:undone", "b:undone", "c:undone"]);
  });

  test("a failing tx step leaves nothing behind and is not undone itself", async () => {
    const record = recorded();
    fail(record, "do:a");
    const definition = fiveSteps(record);
    const bench = await OperationsBench.open(open, { definitions: [definition] });
    const id = await bench.run(definition, null);
    assert.deepEqual(record.log, ["do:a", "failed:test.broken:"]);
    assert.deepEqual(await bench.journal(id), []);
  });

  test("past the pivot every failure is tried again until it works", async () => {
    const record = recorded();
    fail(record, "do:d", 3, broken);
    fail(record, "do:e", 2, () => new Error("a bug"));
    const definition = fiveSteps(record);
    const bench = await OperationsBench.open(open, { definitions: [definition] });
    const id = await bench.run(definition, null);
    assert.equal((await bench.show(id)).state, "ready");
    for (let i = 0; i < 6; i += 1) await bench.advance(60_000);
    assert.equal((await bench.show(id)).state, "done");
    assert.equal(record.log.filter((l) => l === "do:d").length, 4);
    assert.equal(record.log.filter((l) => l === "do:e").length, 3);
    assert.equal((await bench.show(id)).trouble, null);
  });

  test("an unavailable agent is tried again after growing pauses, then the step fails", async () => {
    const record = recorded();
    fail(record, "do:b", 99, away);
    const definition = fiveSteps(record);
    const bench = await OperationsBench.open(open, { definitions: [definition] });
    const id = await bench.run(definition, null);
    const tries = () => record.log.filter((l) => l === "do:b").length;
    for (const [pause, expected] of [500, 1000, 2000, 4000].entries()) {
      assert.equal((await bench.show(id)).state, "ready");
      assert.match(String((await bench.show(id)).trouble), /test\.away/);
      await bench.advance(expected - 1);
      assert.equal(tries(), pause + 1);
      await bench.advance(1);
      assert.equal(tries(), pause + 2);
    }
    const row = await bench.show(id);
    assert.deepEqual([row.state, row.trouble], ["undone", null]);
    assert.equal((await bench.fault(id))?.code, "test.away");
  });

  test("a step that is skipped by `when` has no result, and its undo does not run", async () => {
    const record = recorded();
    const seen: unknown[] = [];
    const definition = operation<{ wanted: boolean }>("test.when", { deadlineMs: 1000, resource: "thing" })
      .step("first", { tx: async () => 1 })
      .step("maybe", {
        when: ({ input }) => input.wanted,
        effect: async () => "there",
        undo: async () => void record.log.push("undo:maybe"),
      })
      .step("last", {
        effect: async (_a, { out }) => {
          seen.push(out.maybe);
          if (record.failing.has("last")) throw broken();
        },
      })
      .step("tail", { when: () => false, tx: async () => {} })
      .build();
    const bench = await OperationsBench.open(open, { definitions: [definition] });
    const done = await bench.run(definition, { wanted: false });
    assert.deepEqual(await bench.journal(done), ["first:done", "maybe:skipped", "last:done", "tail:skipped"]);
    await bench.run(definition, { wanted: true });
    assert.deepEqual(seen, [undefined, "there"]);
    fail(record, "last");
    const undone = await bench.run(definition, { wanted: false });
    assert.equal((await bench.show(undone)).state, "undone");
    assert.deepEqual(record.log, []);
  });

  test("a `when` that throws fails the step; it does not hang", async () => {
    const definition = operation<null>("test.badwhen", { deadlineMs: 1000, resource: "thing" })
      .step("bad", {
        when: () => {
          throw new Error("a bug");
        },
        tx: async () => {},
      })
      .build();
    const bench = await OperationsBench.open(open, { definitions: [definition] });
    const id = await bench.run(definition, null);
    assert.equal((await bench.show(id)).state, "undone");
    assert.deepEqual(await bench.fault(id), {
      kind: "internal",
      code: "internal.unexpected",
      message: "An unexpected error occurred.",
    });
  });

  test("progress moves inside the step's span and carries details", async () => {
    const definition = operation<null>("test.progress", { deadlineMs: 1000, resource: "thing" })
      .step("copy", {
        span: [20, 60],
        effect: async (a) => {
          a.progress(50, { bytes: 7 });
          a.progress(51, { bytes: 8 });
          return a.attempt > 0 ? undefined : a.wait({ signals: ["copied"], percent: 75 });
        },
      })
      .step("rest", { span: [60, 90], effect: async (a) => a.attempt === 0 && a.wait({ signals: ["go"] }) })
      .build();
    const bench = await OperationsBench.open(open, { definitions: [definition] });
    const id = await bench.run(definition, null);
    assert.equal((await bench.show(id)).percent, 50);
    await bench.signal(id, "copied");
    await bench.drain();
    const row = await bench.show(id);
    assert.deepEqual([row.state, row.step, row.percent], ["waiting", "rest", 60]);
    assert.deepEqual(JSON.parse(row.detail ?? "null"), { bytes: 8 });
    await bench.signal(id, "go");
    await bench.drain();
    assert.equal((await bench.show(id)).percent, 100);
  });

  test("after many failures the operation is stuck, visibly, still tried, and `retryNow` tries at once", async () => {
    const record = recorded();
    fail(record, "do:d", 99, broken);
    const definition = fiveSteps(record);
    const bench = await OperationsBench.open(open, { definitions: [definition] });
    const id = await bench.run(definition, null);
    for (let i = 1; i < STUCK_AFTER_ATTEMPTS; i += 1) await bench.advance(60_000);
    const stuck = await bench.show(id);
    assert.deepEqual([stuck.state, stuck.step, stuck.fault], ["stuck", "d", null]);
    assert.match(String(stuck.trouble), /test\.broken/);
    const before = record.log.length;
    await bench.advance(60_000);
    assert.equal(record.log.length, before + 1);
    assert.equal((await bench.show(id)).state, "stuck");
    record.failing.clear();
    await bench.tx((t) => bench.control.retryNow(t, id));
    await bench.drain();
    assert.equal((await bench.show(id)).state, "done");
    await assert.rejects(
      bench.tx((t) => bench.control.retryNow(t, id)),
      { kind: "conflict", code: "operation.ended" },
    );
  });

  test("a step that does not say where it acts has the host that it called, also when it failed", async () => {
    const calling = (name: string, host: string) =>
      operation<null>(name, { deadlineMs: 1000, resource: "thing" })
        .step("deliver", {
          effect: async (a) => await a.call({}, "test.act" as never, {} as never, { to: { host } }),
          undo: async () => {},
        })
        .build();
    const [works, fails] = [calling("test.works", "h1"), calling("test.fails", "h2")];
    const bench = await OperationsBench.open(open, {
      definitions: [works, fails],
      agent: async (origin) => {
        const row = await bench.show(origin.operationId);
        if (row.name === "test.fails") throw new CloudError("invalid", "test.no", "No.");
        return {};
      },
    });
    const hosts = [];
    for (const definition of [works, fails]) {
      const [step] = await bench.steps(await bench.run(definition, null));
      hosts.push([step?.state, step?.event_host]);
    }
    assert.deepEqual(hosts, [
      ["done", "h1"],
      ["undone", "h2"],
    ]);
  });
});
