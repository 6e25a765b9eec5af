import assert from "node:assert/strict";
import { test } from "node:test";
import { CloudError } from "../errors/cloud-error.ts";
import { LeaseLost } from "../operations/journal.ts";
import { onBothStores } from "../store/testing/stores.ts";
import { FleetBench } from "./testing/fleet-bench.ts";

const fails = (code: string) => (error: unknown) => error instanceof CloudError && error.code === code;
const A = { host: "a" };

onBothStores("Commands", (open) => {
  test("a command is delivered until it is answered, and answers a repeat of the call", async () => {
    const bench = await FleetBench.open(open);
    const id = await bench.held();
    const progress: number[] = [];
    const answer = bench.call(id, A, { onProgress: (percent) => progress.push(percent) });
    await bench.stored(1);
    const [command] = (await bench.poll("a")).commands;
    assert.ok(command);
    assert.deepEqual([command.verb, command.subject, command.epoch], ["test.act", "thing", 1]);
    assert.equal((await bench.poll("a")).commands.length, 1);
    assert.deepEqual((await bench.poll("a", [command.key])).commands, []);
    assert.deepEqual((await bench.poll("b")).commands, []);
    const half = { key: command.key, percent: 50, detail: {} };
    const foreign = { key: command.key, percent: 99, detail: {} };
    await bench.fleet.report("b", { results: [], progress: [foreign], events: [] });
    await bench.fleet.report("a", { results: [], progress: [half], events: [] });
    await bench.answer("b", command.key, { by: "b" });
    await bench.answer("a", command.key, { by: "a" });
    assert.deepEqual(await answer, { by: "a" });
    assert.deepEqual(progress, [50]);
    assert.deepEqual((await bench.poll("a", [command.key])).forget, [command.key]);
    assert.deepEqual(await bench.call(id, A), { by: "a" });
    await bench.close();
  });

  test("a failed command is tried anew under a key of its own", async () => {
    const bench = await FleetBench.open(open);
    const id = await bench.held();
    const first = bench.call(id, A);
    await bench.stored(1);
    const [one] = (await bench.poll("a")).commands;
    await bench.refuse("a", one?.key ?? "", "test.no");
    await assert.rejects(first, fails("test.no"));
    const second = bench.call(id, A);
    await bench.stored(2);
    const [two] = (await bench.poll("a")).commands;
    assert.notEqual(two?.key, one?.key);
    await bench.answer("a", two?.key ?? "", 2);
    assert.equal(await second, 2);
    await bench.close();
  });

  test("who takes over joins the command; a refusal of the former holder's delivery is no answer", async () => {
    const bench = await FleetBench.open(open);
    const id = await bench.held(1);
    const stop = new AbortController();
    const former = bench.call(id, A, { signal: stop.signal });
    await bench.stored(1);
    const [old] = (await bench.poll("a")).commands;
    stop.abort(new LeaseLost());
    await assert.rejects(former, LeaseLost);
    await bench.set(id, { epoch: 5 });
    await assert.rejects(bench.call(id, A), LeaseLost);
    const present = bench.call(id, A, { epoch: 5 });
    await bench.until(async () => (await bench.poll("a")).commands[0]?.epoch === 5);
    await bench.refuse("a", old?.key ?? "", "fleet.stale_epoch", 1);
    assert.equal((await bench.poll("a")).commands.length, 1);
    await bench.answer("a", old?.key ?? "", "done", 5);
    assert.equal(await present, "done");
    await bench.close();
  });

  test("commands of a fenced, ended or turned operation are withdrawn, and their results dropped", async () => {
    const bench = await FleetBench.open(open);
    const changes = [
      { state: "abandoned" },
      { direction: "undo" },
      { direction: "forward", run: 2 },
      { step: "later" },
    ] as const;
    for (const change of changes) {
      const id = await bench.held();
      void bench.call(id, A, { timeoutMs: 1_000_000 });
      const key = await bench.until(
        async () => (await bench.poll("a")).commands.find((command) => command.key.startsWith(id))?.key,
      );
      await bench.set(id, change);
      assert.deepEqual(
        (await bench.poll("a", [key])).revoked.map((revoked) => revoked.key),
        [key],
      );
      assert.deepEqual((await bench.poll("a")).commands, [], JSON.stringify(change));
    }
    await bench.close();
  });

  test("an agent that was away when its operation was abandoned and swept is still told to stop", async () => {
    const bench = await FleetBench.open(open);
    const id = await bench.held();
    void bench.call(id, A);
    await bench.stored(1);
    const key = (await bench.poll("a")).commands[0]?.key ?? "";
    await bench.store.tx((t) => bench.control.abandon(t, id));
    await bench.fleet.delivery.sweep();
    const told = async () => (await bench.poll("a", [key])).revoked.map((revoked) => revoked.key);
    assert.deepEqual(await told(), [key]);
    assert.deepEqual(await told(), [key]);
    assert.deepEqual((await bench.poll("a")).revoked, []);
    assert.deepEqual(await told(), []);
    assert.deepEqual((await bench.poll("a", [key])).forget, [key]);
    await bench.close();
  });

  test("a cancelled call is revoked, a waiting poll hears of it, and nothing answers it afterwards", async () => {
    const bench = await FleetBench.open(open);
    const id = await bench.held();
    const stop = new AbortController();
    const call = bench.call(id, A, { signal: stop.signal });
    await bench.stored(1);
    const key = (await bench.poll("a")).commands[0]?.key ?? "";
    const waiting = bench.poll("a", [key], 10_000);
    stop.abort(new CloudError("conflict", "operation.cancelled", "Cancelled."));
    await assert.rejects(call, fails("operation.cancelled"));
    assert.deepEqual((await waiting).revoked[0]?.key, key);
    await bench.answer("a", key, "late");
    void bench.call(id, A);
    const next = await bench.until(async () => (await bench.poll("a", [key])).commands[0]);
    assert.notEqual(next.key, key);
    await bench.close();
  });

  test("a call that is not answered in time, or whose host is down, fails as unavailable and is joined later", async () => {
    const bench = await FleetBench.open(open);
    const id = await bench.held();
    await bench.boot("a");
    await bench.fleet.flush();
    const slow = bench.call(id, A, { timeoutMs: 1000 });
    await bench.stored(1);
    await bench.until(() => bench.fleet.commands.awaited.hosts().has("a"));
    bench.clock.advance(1000);
    await assert.rejects(slow, fails("fleet.timeout"));
    const silent = bench.call(id, A, { timeoutMs: 10_000_000 });
    await bench.until(() => bench.fleet.commands.awaited.hosts().has("a"));
    bench.clock.advance(50_000);
    await bench.fleet.flush();
    assert.ok(bench.fleet.commands.awaited.hosts().has("a"), "it is not down yet");
    bench.clock.advance(15_000);
    await bench.fleet.flush();
    await assert.rejects(silent, fails("fleet.host_down"));
    const third = bench.call(id, A, { timeoutMs: 10_000_000 });
    await bench.until(() => bench.fleet.commands.awaited.hosts().has("a"));
    const [command] = (await bench.poll("a")).commands;
    await bench.answer("a", command?.key ?? "", 3);
    assert.equal(await third, 3);
    await bench.close();
  });

  test("an agent is told how much time is left, by the server's clock alone; what is too late is not begun", async () => {
    const bench = await FleetBench.open(open);
    const id = await bench.held();
    const call = bench.call(id, A, { timeoutMs: 60_000 });
    await bench.stored(1);
    await bench.until(() => bench.fleet.commands.awaited.hosts().has("a"));
    const left = async () => (await bench.poll("a")).commands.map((command) => command.timeLeftMs);
    assert.deepEqual(await left(), [60_000]);
    bench.clock.advance(59_000);
    assert.deepEqual(await left(), [1000]);
    bench.clock.advance(1000);
    await assert.rejects(call, fails("fleet.timeout"));
    assert.deepEqual(await left(), []);
    void bench.call(id, A, { timeoutMs: 5000 });
    assert.deepEqual(await bench.until(async () => (await left())[0]), 5000);
    await bench.close();
  });

  test("any member of a cluster takes its command; when the taker dies another one does", async () => {
    const bench = await FleetBench.open(open);
    for (const host of ["a", "b"]) await bench.boot(host, "pool");
    await bench.boot("c");
    await bench.fleet.flush();
    const id = await bench.held();
    const answer = bench.call(id, { cluster: "pool" }, { timeoutMs: 10_000_000 });
    await bench.stored(1);
    assert.deepEqual((await bench.poll("c")).commands, []);
    const [command] = (await bench.poll("a")).commands;
    const key = command?.key ?? "";
    assert.deepEqual((await bench.poll("b")).commands, []);
    await bench.answer("b", key, "not mine");
    for (let i = 0; i < 8; i += 1) {
      bench.clock.advance(10_000);
      await bench.poll("b");
      await bench.fleet.flush();
    }
    assert.equal((await bench.poll("b")).commands[0]?.key, key);
    await bench.answer("a", key, "too late");
    await bench.answer("b", key, "by b");
    assert.equal(await answer, "by b");
    await bench.close();
  });

  test("a cluster's commands reach members that had announced themselves to another process", async () => {
    const bench = await FleetBench.open(open);
    await bench.boot("a", "pool");
    const other = bench.newFleet(await bench.again());
    const id = await bench.held();
    void bench.call(id, { cluster: "pool" });
    await bench.stored(1);
    assert.equal((await bench.poll("a", [], 0, other)).commands.length, 1);
    await bench.close();
  });

  test("a question needs no operation; what its asker leaves behind is swept", async () => {
    const bench = await FleetBench.open(open);
    const about = { host: "a", subject: "thing", id: "q1", timeoutMs: 1000 };
    const asked = bench.fleet.commands.ask({} as never, "test.look" as never, {} as never, about);
    await bench.stored(1);
    const [question] = (await bench.poll("a")).commands;
    await bench.answer("a", question?.key ?? "", 42);
    assert.equal(await asked, 42);
    const id = await bench.held();
    void bench.call(id, A);
    await bench.stored(1);
    await bench.fleet.delivery.sweep();
    assert.equal((await bench.poll("a")).commands.length, 1);
    await bench.set(id, { state: "done" });
    await bench.fleet.delivery.sweep();
    assert.deepEqual((await bench.poll("a", ["x"])).forget, ["x"]);
    await bench.close();
  });
});
