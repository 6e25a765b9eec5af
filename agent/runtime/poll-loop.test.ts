import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../kernel/clock/manual-clock.ts";
import { silentLogger } from "../../kernel/log/logger.ts";
import type { PollReply, PollRequest } from "../protocol/envelope.ts";
import { Agent } from "./agent.ts";
import { MemoryJournal } from "./journal.ts";
import { PollLoop } from "./poll-loop.ts";
import { SchemaChecks } from "./schema-checks.ts";
import type { ServerSession } from "./server-link.ts";

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
const nothing: PollReply = { commands: [], revoked: [], forget: [], logLevels: {} };

function setUp() {
  const clock = new ManualClock();
  const polls: { request: PollRequest; answer: (reply: PollReply) => void; fail: (error: Error) => void }[] = [];
  const session: ServerSession = {
    poll: (request, signal) =>
      new Promise((answer, fail) => {
        polls.push({ request, answer, fail });
        const aborted = () => fail(new Error("aborted"));
        if (signal.aborted) aborted();
        signal.addEventListener("abort", aborted);
      }),
    report: async () => {},
    fetchImage: () => Promise.reject(new Error("no images here")),
    openConsole: () => Promise.reject(new Error("no consoles here")),
    close: () => {},
  };
  const levels: Record<string, string>[] = [];
  const facts = { free: 5 };
  const agent = new Agent({
    bootId: "boot-1",
    session,
    services: [
      {
        service: "t",
        verbs: new Map(),
        factsChange: true,
        provided: async () => [{ binary: "t-agent", service: "t", facts: { ...facts }, cluster: null }],
        inventory: async () => ["thing"],
        subscribe: () => () => {},
        close: async () => {},
      },
    ],
    journal: new MemoryJournal(),
    checks: new SchemaChecks(),
    clock,
    random: () => 0,
    log: silentLogger,
    image: () => Promise.reject(new Error("no images here")),
    setLogLevels: (wanted) => levels.push(wanted),
  });
  const loop = new PollLoop({ agent, session, clock, random: () => 0, log: silentLogger, waitMs: 20_000 });
  return { clock, polls, levels, facts, agent, loop };
}

test("introduces itself until it is heard, backing off, then polls on", async () => {
  const t = setUp();
  t.loop.start();
  await settle();
  t.polls[0]?.fail(new Error("refused"));
  await settle();
  assert.equal(t.polls.length, 1);
  t.clock.advance(250);
  await settle();
  assert.equal(t.polls.length, 2);
  t.polls[1]?.fail(new Error("refused"));
  await settle();
  t.clock.advance(499);
  await settle();
  assert.equal(t.polls.length, 2);
  t.clock.advance(1);
  await settle();
  const second = t.polls[2];
  assert.deepEqual(second?.request.inventory, { t: ["thing"] });
  assert.equal(second.request.waitMs, 0);
  second.answer({ ...nothing, logLevels: { agent: "debug" } });
  await settle();
  const third = t.polls[3];
  assert.deepEqual(
    [third?.request.waitMs, third?.request.services, third?.request.inventory],
    [20_000, undefined, undefined],
  );
  third?.answer({ ...nothing, logLevels: { agent: "debug" } });
  await settle();
  assert.deepEqual(t.levels, [{ agent: "debug" }]);
  await t.loop.stop();
  await t.agent.stop();
  assert.equal(t.clock.pendingTimers, 0);
});

test("a connection that died silently is given up", async () => {
  const t = setUp();
  t.loop.start();
  await settle();
  t.polls[0]?.answer(nothing);
  await settle();
  t.clock.advance(35_000);
  await settle();
  t.clock.advance(250);
  await settle();
  assert.equal(t.polls.length, 3);
  await t.loop.stop();
  await t.agent.stop();
  assert.equal(t.clock.pendingTimers, 0);
});

test("facts that have changed by themselves end a poll at once", async () => {
  const t = setUp();
  t.loop.start();
  await settle();
  t.polls[0]?.answer(nothing);
  await settle();
  t.facts.free = 4;
  t.clock.advance(10_000);
  t.polls[1]?.answer(nothing);
  await settle();
  assert.deepEqual(t.polls.at(-1)?.request.services?.[0]?.facts, { free: 4 });
  await t.loop.stop();
  await t.agent.stop();
  assert.equal(t.clock.pendingTimers, 0);
});
