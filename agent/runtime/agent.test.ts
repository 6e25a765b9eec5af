import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../kernel/clock/manual-clock.ts";
import { silentLogger } from "../../kernel/log/logger.ts";
import { Agent } from "./agent.ts";
import { MemoryJournal } from "./journal.ts";
import { SchemaChecks } from "./schema-checks.ts";
import type { ServerSession } from "./server-link.ts";

const session: ServerSession = {
  poll: () => Promise.reject(new Error("nobody polls here")),
  report: async () => {},
  fetchImage: () => Promise.reject(new Error("there are no images")),
  openConsole: () => Promise.reject(new Error("there are no consoles")),
  close: () => {},
};

test("epochs that have done their work are forgotten between two polls, those in use are not", async () => {
  const clock = new ManualClock();
  const journal = new MemoryJournal();
  const agent = new Agent({
    bootId: "boot",
    session,
    services: [],
    journal,
    checks: new SchemaChecks(),
    clock,
    random: () => 0,
    log: silentLogger,
    image: () => Promise.reject(new Error("there are no images")),
    setLogLevels: () => {},
  });
  const epochs = () => [journal.highestEpoch("deleted"), journal.highestEpoch("used")];
  const pass = async (ms: number) => {
    clock.advance(ms);
    await agent.nextPoll(0);
    agent.take({ commands: [], revoked: [{ key: "k", subject: "used", epoch: 5 }], forget: [], logLevels: {} });
  };
  journal.raiseEpoch("deleted", 3);
  await pass(0);
  assert.deepEqual(epochs(), [3, 5]);
  for (let i = 0; i < 7; i += 1) await pass(900_000);
  assert.deepEqual(epochs(), [3, 5], "less than two hours");
  for (let i = 0; i < 2; i += 1) await pass(900_000);
  assert.deepEqual(epochs(), [-1, 5]);
  await agent.stop();
  assert.equal(clock.pendingTimers, 0);
});
