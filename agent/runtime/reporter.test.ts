import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../kernel/clock/manual-clock.ts";
import { CloudError } from "../../kernel/errors/cloud-error.ts";
import { silentLogger } from "../../kernel/log/logger.ts";
import type { CommandResult, ReportRequest } from "../protocol/envelope.ts";
import { Backoff } from "./backoff.ts";
import { Reporter } from "./reporter.ts";

function setUp() {
  const clock = new ManualClock();
  const sent: ReportRequest[] = [];
  const stored: CommandResult[] = [];
  const server = { away: false };
  const reporter = new Reporter({
    async send(report) {
      if (server.away) throw new CloudError("unavailable", "agent.server_unreachable", "away");
      sent.push(report);
    },
    onStored: (results) => stored.push(...results),
    clock,
    backoff: new Backoff(() => 0.5),
    log: silentLogger,
  });
  return { clock, sent, stored, server, reporter };
}

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
const ok = (key: string): CommandResult => ({ key, outcome: { ok: true, result: {} } });

test("progress leaves at most five times a second, the last always, before or with the result", async () => {
  const t = setUp();
  for (let percent = 1; percent <= 100; percent += 1) {
    t.reporter.progress({ key: "a", percent, detail: {} });
    t.clock.advance(10);
    await settle();
  }
  assert.ok(t.sent.length <= 6, `${t.sent.length} reports in a second`);
  t.clock.advance(200);
  await settle();
  assert.equal(t.sent.at(-1)?.progress[0]?.percent, 100);
  t.reporter.progress({ key: "a", percent: 101, detail: {} });
  t.reporter.result(ok("a"));
  await settle();
  assert.equal(t.sent.at(-1)?.progress[0]?.percent, 101);
  assert.equal(t.sent.at(-1)?.results[0]?.key, "a");
  t.clock.advance(10_000);
  assert.equal(t.clock.pendingTimers, 0);
});

test("results of one turn share a report", async () => {
  const t = setUp();
  t.reporter.result(ok("a"));
  t.reporter.result(ok("b"));
  await settle();
  assert.deepEqual(
    t.sent.map((report) => report.results.map(({ key }) => key)),
    [["a", "b"]],
  );
  assert.equal(t.stored.length, 2);
});

test("what could not be sent is kept and repeated, sooner when the server is heard of", async () => {
  const t = setUp();
  t.server.away = true;
  t.reporter.result(ok("a"));
  t.reporter.event({ service: "compute", kind: "died", subject: "s", facts: null });
  await settle();
  assert.deepEqual([...t.reporter.keys()], ["a"]);
  t.clock.advance(375);
  await settle();
  t.server.away = false;
  t.reporter.kick();
  await settle();
  assert.equal(t.sent.length, 1);
  assert.equal(t.sent[0]?.results.length, 1);
  assert.equal(t.sent[0]?.events.length, 1);
  assert.equal(t.clock.pendingTimers, 0);
});

test("stopping sends once more and then is silent", async () => {
  const t = setUp();
  t.reporter.progress({ key: "a", percent: 5, detail: {} });
  t.reporter.progress({ key: "a", percent: 6, detail: {} });
  await t.reporter.stop();
  t.reporter.result(ok("a"));
  await settle();
  assert.deepEqual(
    t.sent.map((report) => report.progress.map(({ percent }) => percent)),
    [[6]],
  );
  assert.equal(t.clock.pendingTimers, 0);
});
