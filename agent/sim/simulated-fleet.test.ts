import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../kernel/clock/manual-clock.ts";
import { sequentialIds } from "../../kernel/ids/ids.ts";
import { silentLogger } from "../../kernel/log/logger.ts";
import { createSimComputeDriver } from "../drivers/compute/sim/sim-compute-driver.ts";
import { SimWorld } from "../drivers/compute/sim/sim-world.ts";
import type { Command } from "../protocol/envelope.ts";
import { computeService } from "../runtime/compute-service.ts";
import { SmallServer } from "../runtime/testing/small-server.ts";
import { SimulatedFleet } from "./simulated-fleet.ts";
import { testSpecs } from "./testing/test-specs.ts";

async function setUp(hosts = ["a", "b"]) {
  const clock = new ManualClock();
  const world = new SimWorld({ clock, mode: "manual" });
  const server = new SmallServer();
  const fleet = new SimulatedFleet({
    server: { inProcess: server },
    services: (host, session) => [computeService(createSimComputeDriver({ world, host }), session.openConsole)],
    clock,
    ids: sequentialIds(),
    random: () => 0.5,
    log: silentLogger,
  });
  for (const name of hosts) world.addHost({ name, sharedStorage: "store" });
  await fleet.add(hosts.map((name) => ({ name, token: "good" })));
  await fleet.settle();
  const specs = testSpecs();
  const command = (key: string, verb: string, subject: string, input: unknown, epoch = 1): Command => {
    return { key, verb: `compute.${verb}`, subject, epoch, input, timeLeftMs: 3_600_000 };
  };
  const result = (key: string): unknown => {
    const outcome = server.results.get(key)?.outcome;
    assert.ok(outcome, `no result of ${key}`);
    return outcome.ok ? outcome.result : outcome.fault.code;
  };
  return { clock, world, server, fleet, specs, command, result };
}

test("a host introduces itself with facts and inventory, then acts and forgets", async () => {
  const t = await setUp();
  const [hello] = t.server.host("a").polls;
  assert.equal(hello?.services?.[0]?.binary, "nova-compute");
  assert.equal(hello.services[0].facts.hypervisorType, "fake");
  assert.deepEqual(hello.inventory, { compute: [] });
  const spec = t.specs.next();
  t.server.send("a", t.command("k1", "ensure", spec.serverId, { spec, power: "running" }));
  await t.fleet.settle();
  assert.equal((t.result("k1") as { power: string }).power, "running");
  t.server.send("a", t.command("k2", "inspect", spec.serverId, { serverId: spec.serverId }, 0));
  await t.fleet.settle();
  assert.equal((t.result("k2") as { guest: { power: string } }).guest.power, "running");
  t.clock.advance(10_000);
  await t.fleet.settle();
  assert.deepEqual(t.server.host("a").polls.at(-1)?.known.includes("k1"), false);
  await t.fleet.close();
  assert.equal(t.clock.pendingTimers, 0);
});

test("a live migration through two agents, aborted beside itself, then done", async () => {
  const t = await setUp();
  const spec = t.specs.next();
  const { serverId } = spec;
  const out = (target: unknown) => ({
    serverId,
    target,
    mode: "mirror",
    bandwidthMiBps: 0,
    downtimeMs: 500,
    autoConverge: false,
    postCopy: false,
  });
  t.server.send("a", t.command("create", "ensure", serverId, { spec, power: "running" }));
  t.server.send("b", t.command("prepare", "prepareIncoming", serverId, { spec, mode: "mirror" }));
  await t.fleet.settle();
  t.server.send("a", t.command("out", "migrateOut", serverId, out(t.result("prepare"))));
  await t.fleet.settle();
  t.world.step();
  t.clock.advance(200);
  await t.fleet.settle();
  assert.equal(t.server.progress.at(-1)?.percent, 25);
  t.server.send("a", t.command("abort", "abortMigration", serverId, { serverId }));
  t.server.send("b", t.command("abandon", "abandonIncoming", serverId, { serverId }));
  await t.fleet.settle();
  assert.equal(t.result("out"), "compute.migration_aborted");
  t.server.send("b", t.command("prepare2", "prepareIncoming", serverId, { spec, mode: "mirror" }));
  await t.fleet.settle();
  t.server.send("a", t.command("out2", "migrateOut", serverId, out(t.result("prepare2"))));
  await t.fleet.settle();
  t.world.drain();
  await t.fleet.settle();
  t.server.send("b", t.command("finish", "finishIncoming", serverId, { spec, paused: false }));
  t.server.send("a", t.command("clean", "ensureAbsent", serverId, { serverId, disks: true }));
  await t.fleet.settle();
  assert.deepEqual(t.world.leftovers().guests, [{ host: "b", serverId, power: "running" }]);
  assert.deepEqual(t.world.violations, []);
  await t.fleet.close();
});

test("a killed agent forgets what it was doing, adopts its guests and is told again", async () => {
  const t = await setUp(["a"]);
  t.world.faults.onCrash((host) => void t.fleet.kill(host));
  const spec = t.specs.next();
  t.world.faults.add({ verb: "compute.ensure", fault: { type: "crash", when: "after" } });
  t.server.send("a", t.command("k", "ensure", spec.serverId, { spec, power: "running" }));
  await t.fleet.settle();
  assert.equal(t.server.results.size, 0);
  assert.equal(t.world.leftovers().guests.length, 1);
  await t.fleet.restart("a");
  await t.fleet.settle();
  const boots = t.server.host("a").polls.filter((poll) => poll.inventory);
  assert.equal(boots.length, 2);
  assert.notEqual(boots[0]?.bootId, boots[1]?.bootId);
  assert.equal(boots[1]?.inventory?.compute?.length, 1);
  assert.equal((t.result("k") as { power: string }).power, "running");
  assert.equal(t.server.resultCounts.get("k"), 1);
  await t.fleet.close();
  assert.equal(t.clock.pendingTimers, 0);
});

test("answers given while the server was away arrive when it is back", async () => {
  const t = await setUp(["a"]);
  const spec = t.specs.next();
  const hang = t.world.faults.add({ fault: { type: "hang" } });
  t.server.send("a", t.command("k", "ensure", spec.serverId, { spec, power: "running" }));
  await t.fleet.settle();
  t.server.away = true;
  hang.release();
  await t.fleet.settle();
  assert.equal(t.server.results.size, 0);
  t.server.away = false;
  t.clock.advance(60_000);
  await t.fleet.settle();
  assert.equal((t.result("k") as { power: string }).power, "running");
  await t.fleet.close();
});

test("a partitioned host goes on by itself, beats no more, and catches up", async () => {
  const t = await setUp();
  const spec = t.specs.next();
  t.fleet.partition("a");
  t.server.send("a", t.command("k", "ensure", spec.serverId, { spec, power: "running" }));
  t.clock.advance(30_000);
  await t.fleet.settle();
  assert.equal(t.server.host("a").heartbeats, 0);
  assert.equal(t.server.host("b").heartbeats, 3);
  assert.equal(t.server.results.size, 0);
  t.fleet.heal("a");
  await t.fleet.settle();
  assert.equal((t.result("k") as { power: string }).power, "running");
  await t.fleet.close();
});

test("a revoked command ends without an answer; a failed key can be tried again", async () => {
  const t = await setUp(["a"]);
  const spec = t.specs.next();
  t.world.faults.add({ fault: { type: "hang" } });
  t.server.send("a", t.command("k", "ensure", spec.serverId, { spec, power: "running" }));
  await t.fleet.settle();
  t.server.revoke("a", "k", 1);
  await t.fleet.settle();
  assert.equal(t.server.resultCounts.get("k"), undefined);
  assert.deepEqual(t.world.leftovers().guests, []);

  t.world.faults.add({ fault: { type: "loseReply" } });
  t.server.send("a", t.command("k2", "ensure", spec.serverId, { spec, power: "running" }, 2));
  await t.fleet.settle();
  assert.equal(t.result("k2"), "sim.reply_lost");
  t.server.send("a", t.command("k2", "ensure", spec.serverId, { spec, power: "running" }, 2));
  await t.fleet.settle();
  assert.equal((t.result("k2") as { power: string }).power, "running");
  await t.fleet.close();
});

test("guests that die by themselves become events; consoles connect", async () => {
  const t = await setUp(["a"]);
  const spec = t.specs.next();
  const { serverId } = spec;
  t.server.send("a", t.command("k", "ensure", serverId, { spec, power: "running" }));
  await t.fleet.settle();
  t.server.send("a", t.command("c", "openConsole", serverId, { serverId, sessionId: "s1" }, 0));
  await t.fleet.settle();
  const remote = t.server.consoles.get("s1");
  assert.ok(remote);
  let text = "";
  let ended = false;
  remote.on("data", (chunk: Buffer) => {
    text += chunk.toString();
  });
  remote.on("end", () => {
    ended = true;
  });
  t.clock.advance(300);
  remote.write("hello\n");
  await t.fleet.settle();
  assert.match(text, /tick 1\r\ntick 2\r\ntick 3\r\nhello\n/);
  t.world.crashGuest("a", serverId);
  await t.fleet.settle();
  assert.deepEqual(
    t.server.events.map(({ service, kind, subject }) => [service, kind, subject]),
    [["compute", "died", serverId]],
  );
  t.clock.advance(100);
  await t.fleet.settle();
  assert.equal(ended, true);
  await t.fleet.close();
  assert.equal(t.clock.pendingTimers, 0);
});
