import assert from "node:assert/strict";
import { test } from "node:test";
import { Type } from "typebox";
import { ManualClock } from "../../kernel/clock/manual-clock.ts";
import { CloudError } from "../../kernel/errors/cloud-error.ts";
import { silentLogger } from "../../kernel/log/logger.ts";
import type { Command, CommandResult } from "../protocol/envelope.ts";
import { verb } from "../protocol/verb.ts";
import type { VerbHandler, VerbMode } from "./agent-service.ts";
import { Backoff } from "./backoff.ts";
import type { Call } from "./call.ts";
import { Executor } from "./executor.ts";
import { type Journal, MemoryJournal } from "./journal.ts";
import { Reporter } from "./reporter.ts";
import { SchemaChecks } from "./schema-checks.ts";

const definition = verb(Type.Object({ n: Type.Integer() }), Type.Unknown());

function setUp(journal: Journal = new MemoryJournal()) {
  const clock = new ManualClock();
  const results: CommandResult[] = [];
  const calls: { call: Call; finish: (value: unknown) => void; fail: (error: unknown) => void }[] = [];
  const reporter = new Reporter({
    send: async (report) => void results.push(...report.results),
    onStored: () => {},
    clock,
    backoff: new Backoff(() => 0),
    log: silentLogger,
  });
  const handler = (mode: VerbMode): VerbHandler => ({
    definition,
    mode,
    run: (_input, call) =>
      new Promise((finish, fail) => {
        calls.push({ call, finish, fail });
        call.signal.addEventListener("abort", () => fail(call.signal.reason));
      }),
  });
  const verbs = new Map([
    ["t.change", handler("change")],
    ["t.control", handler("control")],
    ["t.read", handler("read")],
  ]);
  const executor = new Executor({
    verb: (name) => verbs.get(name),
    checks: new SchemaChecks(),
    journal,
    reporter,
    clock,
    log: silentLogger,
    image: async () => "/nowhere",
  });
  const command = (key: string, more: Partial<Command> = {}): Command => ({
    key,
    verb: "t.change",
    subject: "s1",
    epoch: 1,
    input: { n: 1 },
    timeLeftMs: 60_000,
    ...more,
  });
  const call = (index: number) => {
    const found = calls[index];
    assert.ok(found, `call ${index} has not started`);
    return found;
  };
  return { clock, results, calls, call, executor, command, journal };
}

/** Lets promises run their course; nothing here waits for real time. */
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

test("a repeat joins the running command and later gets the stored answer", async () => {
  const t = setUp();
  t.executor.accept(t.command("a"));
  t.executor.accept(t.command("a"));
  await settle();
  assert.equal(t.calls.length, 1);
  t.call(0).finish({ done: true });
  await settle();
  t.executor.accept(t.command("a"));
  await settle();
  assert.equal(t.calls.length, 1);
  const answer = { key: "a", epoch: 1, outcome: { ok: true, result: { done: true } } };
  assert.deepEqual(t.results, [answer, answer]);
});

test("an answer survives the agent; an unfinished command runs again", async () => {
  const journal = new MemoryJournal();
  const before = setUp(journal);
  before.executor.accept(before.command("done"));
  before.executor.accept(before.command("cut", { subject: "s2" }));
  await settle();
  before.call(0).finish(1);
  await settle();
  before.executor.kill();
  before.call(1).finish("too late");
  await settle();
  assert.deepEqual(journal.finishedKeys(), ["done"]);
  const after = setUp(journal);
  after.executor.accept(after.command("done"));
  after.executor.accept(after.command("cut", { subject: "s2" }));
  await settle();
  assert.equal(after.calls.length, 1);
  assert.equal(after.call(0).call.key, "cut");
});

test("an older epoch is refused, except for reads", async () => {
  const t = setUp();
  t.executor.accept(t.command("new", { epoch: 5 }));
  t.executor.accept(t.command("old", { epoch: 4, verb: "t.control" }));
  t.executor.accept(t.command("look", { epoch: 0, verb: "t.read" }));
  await settle();
  assert.deepEqual(t.calls.map(({ call }) => call.key).toSorted(), ["look", "new"]);
  const [refused] = t.results;
  assert.ok(refused && !refused.outcome.ok);
  assert.deepEqual([refused.key, refused.epoch], ["old", 4]);
  assert.deepEqual([refused.outcome.fault.kind, refused.outcome.fault.code], ["conflict", "fleet.stale_epoch"]);
});

test("changes of one subject take turns; control and other subjects do not wait", async () => {
  const t = setUp();
  t.executor.accept(t.command("a"));
  t.executor.accept(t.command("b"));
  t.executor.accept(t.command("c", { verb: "t.control" }));
  t.executor.accept(t.command("d", { subject: "s2" }));
  await settle();
  const keys = () => t.calls.map(({ call }) => call.key);
  assert.deepEqual(keys().toSorted(), ["a", "c", "d"]);
  t.calls.find(({ call }) => call.key === "a")?.finish(1);
  await settle();
  assert.equal(keys().at(-1), "b");
});

test("bad input and unknown verbs are refused by kind and code", async () => {
  const t = setUp();
  t.executor.accept(t.command("a", { input: { n: "one" } }));
  t.executor.accept(t.command("b", { verb: "t.nothing" }));
  await settle();
  const codes = t.results.map(({ outcome }) => (outcome.ok ? "ok" : outcome.fault.code));
  assert.deepEqual(codes, ["agent.invalid_input", "agent.unknown_verb"]);
  assert.equal(t.calls.length, 0);
});

test("the deadline aborts, also while waiting for a turn, and leaves no timer", async () => {
  const t = setUp();
  t.executor.accept(t.command("a"));
  t.executor.accept(t.command("b", { timeLeftMs: 1000 }));
  await settle();
  t.clock.advance(1000);
  await settle();
  const [late] = t.results;
  assert.ok(late && !late.outcome.ok);
  assert.deepEqual([late.key, late.outcome.fault.code], ["b", "agent.deadline_exceeded"]);
  t.clock.advance(60_000);
  await settle();
  assert.equal(t.results.length, 2);
  assert.equal(t.clock.pendingTimers, 0);
});

test("revoking aborts, reports nothing, and fences older epochs of the subject", async () => {
  const t = setUp();
  t.executor.accept(t.command("a"));
  await settle();
  t.executor.revoke({ key: "a", subject: "s1", epoch: 2 });
  await settle();
  assert.equal(t.call(0).call.signal.aborted, true);
  assert.equal(t.results.length, 0);
  t.executor.accept(t.command("a2"));
  await settle();
  assert.equal(t.calls.length, 1);
  assert.equal(t.results[0]?.outcome.ok, false);
});

test("what the server has forgotten is aborted, and reports nothing", async () => {
  const t = setUp();
  t.executor.accept(t.command("a"));
  await settle();
  t.executor.forget(["a"]);
  await settle();
  assert.equal(t.call(0).call.signal.aborted, true);
  assert.deepEqual([t.results, [...t.executor.runningKeys()]], [[], []]);
});

test("faults keep kind and code; unknown errors say nothing of themselves", async () => {
  const t = setUp();
  t.executor.accept(t.command("a"));
  t.executor.accept(t.command("b", { subject: "s2" }));
  await settle();
  t.call(0).fail(new CloudError("conflict", "t.busy", "Busy."));
  t.call(1).fail(new Error("password is 123"));
  await settle();
  assert.deepEqual(
    t.results.map(({ outcome }) => !outcome.ok && outcome.fault),
    [
      { kind: "conflict", code: "t.busy", message: "Busy." },
      { kind: "internal", code: "internal.unexpected", message: "An unexpected error occurred." },
    ],
  );
});

test("stopping aborts what runs and leaves it to the next boot", async () => {
  const t = setUp();
  t.executor.accept(t.command("a"));
  await settle();
  await t.executor.stop();
  assert.deepEqual(t.results, []);
  assert.deepEqual(t.journal.finishedKeys(), []);
});
