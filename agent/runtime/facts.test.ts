import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../kernel/clock/manual-clock.ts";
import { silentLogger } from "../../kernel/log/logger.ts";
import type { AgentService } from "./agent-service.ts";
import { Facts } from "./facts.ts";

const LOOK_EVERY_MS = 10_000;
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

function setUp() {
  const clock = new ManualClock();
  const state = { free: 5, started: 0, looks: 0, news: 0, ready: Promise.resolve() };
  const service = (
    name: string,
    factsChange: boolean,
    facts: () => Promise<Record<string, unknown>>,
  ): AgentService => ({
    service: name,
    verbs: new Map(),
    factsChange,
    provided: async () => [{ binary: name, service: name, facts: await facts(), cluster: null }],
    inventory: async () => [],
    subscribe: () => () => {},
    close: async () => {},
  });
  const fixed = service("fixed", false, async () => {
    state.started += 1;
    return {};
  });
  const changing = service("changing", true, async () => {
    state.looks += 1;
    await state.ready;
    return { free: state.free };
  });
  const onNews = () => {
    state.news += 1;
  };
  const facts = new Facts({ services: [fixed, changing], clock, log: silentLogger, onNews });
  const poll = async () => {
    const said = await facts.news();
    facts.stored();
    await settle();
    return said?.map((provided) => [provided.binary, provided.facts]);
  };
  const pass = (ms = LOOK_EVERY_MS) => clock.advance(ms);
  return { state, facts, poll, pass };
}

test("all is said until it is stored, and then only what has changed by itself", async () => {
  const { state, facts, poll, pass } = setUp();
  const all = (free: number) => [
    ["fixed", {}],
    ["changing", { free }],
  ];
  assert.equal((await facts.news())?.length, 2, "and the poll fails");
  assert.deepEqual(await poll(), all(5));
  assert.equal(await poll(), undefined);
  pass();
  assert.equal(await poll(), undefined);
  assert.deepEqual([state.looks, state.news], [2, 0], "looked at, not changed");
  state.free = 4;
  pass(LOOK_EVERY_MS - 1);
  assert.deepEqual([await poll(), await poll()], [undefined, undefined], "too early");
  pass(1);
  assert.equal(await poll(), undefined);
  assert.equal(state.news, 1);
  assert.deepEqual(await poll(), all(4));
  assert.equal(await poll(), undefined);
});

test("a look that takes long or fails holds no poll up, and is done again", async () => {
  const { state, facts, poll, pass } = setUp();
  await poll();
  const hanging = Promise.withResolvers<void>();
  state.ready = hanging.promise;
  state.free = 3;
  pass();
  assert.equal(await poll(), undefined);
  pass();
  assert.deepEqual([await poll(), state.looks], [undefined, 2], "one at a time");
  hanging.reject(new Error("the disk is gone"));
  await settle();
  assert.equal(state.news, 0);
  state.ready = Promise.resolve();
  pass();
  await poll();
  assert.deepEqual([state.news, (await poll())?.[1]], [1, ["changing", { free: 3 }]]);
  await facts.close();
});
