import assert from "node:assert/strict";
import { after, before, type TestContext, test } from "node:test";
import type { GuestSpec, MigrationMode } from "../../../protocol/compute.ts";
import type { GuestEvent, MigrateOutOptions } from "../driver.ts";
import { assertNoTickLost, Lab, whyNoHosts } from "./testing/lab.ts";

const skip = (await whyNoHosts()) ?? false;
let lab: Lab;
let roamer: GuestSpec;
let settler: GuestSpec;

before(async () => {
  if (skip) return;
  lab = await Lab.open("namespace", ["one", "two"]);
  roamer = await lab.spec("shared", { nics: [lab.nic("10.5.0.11")], userData: btoa("#!/bin/sh\necho USER-DATA-RAN") });
  settler = await lab.spec("local", { nics: [lab.nic("10.5.0.12")] });
});
after(async () => {
  if (!skip) await lab.close();
});

const ticking =
  (host: string, spec: GuestSpec, more = 3) =>
  async () => {
    const seen = (await lab.ticks(host, spec.serverId)).length;
    await lab.until(
      `${spec.hostname} ticks on ${host}`,
      async () => (await lab.ticks(host, spec.serverId)).length >= seen + more,
    );
  };

const code = (wanted: string) => (error: { code?: string }) => {
  assert.equal(error.code, wanted);
  return true;
};

async function outOptions(spec: GuestSpec, mode: MigrationMode, to: string, changes: Partial<MigrateOutOptions> = {}) {
  const target = await lab.driver(to).liveMigration?.prepareIncoming(spec, mode, lab.call());
  assert.ok(target);
  return { target, mode, bandwidthMiBps: 0, downtimeMs: 500, autoConverge: false, postCopy: false, ...changes };
}

async function liveMigrate(
  t: TestContext,
  spec: GuestSpec,
  mode: MigrationMode,
  from: string,
  to: string,
): Promise<void> {
  const [source, destination] = [lab.driver(from), lab.driver(to)];
  await destination.liveMigration?.checkDestination(
    spec,
    { mode, sourceFacts: await source.probe(), diskBytes: 0 },
    lab.call(),
  );
  const options = await outOptions(spec, mode, to);
  assert.equal((await destination.inspect(spec.serverId))?.power, "incoming");
  const began = performance.now();
  const result = await source.liveMigration?.migrateOut(spec.serverId, options, lab.call("out"));
  const tookMs = Math.round(performance.now() - began);
  const repeated = await source.liveMigration?.migrateOut(spec.serverId, options, lab.call("out"));
  assert.deepEqual(repeated, result, "a repeat gets the same answer");
  const facts = await destination.liveMigration?.finishIncoming(spec, { paused: false }, lab.call());
  assert.equal(facts?.power, "running");
  assert.equal((await source.inspect(spec.serverId))?.power, "moved");
  const left = await lab.console(from, spec.serverId);
  await ticking(to, spec)();
  assertNoTickLost(left, await lab.console(to, spec.serverId));
  await source.ensureAbsent(spec.serverId, { disks: true }, lab.call());
  assert.equal(await source.inspect(spec.serverId), undefined);
  await ticking(to, spec)();
  t.diagnostic(`${mode}: migrateOut ${tookMs} ms, downtime ${result?.downtimeMs} ms`);
}

test("two guests boot, tick and reach each other across hosts", { skip }, async (t) => {
  const began = performance.now();
  await Promise.all([
    lab.driver("one").ensure(roamer, "running", lab.call()),
    lab.driver("two").ensure(settler, "running", lab.call()),
  ]);
  await Promise.all([ticking("one", roamer)(), ticking("two", settler)()]);
  t.diagnostic(`two boots at once: ${Math.round(performance.now() - began)} ms`);
  const log = await lab.driver("one").consoleLog(roamer.serverId, null);
  assert.match(log, /BOOT-OK/);
  assert.match(log, new RegExp(`host=${roamer.hostname}`));
  const agent = lab.agent("one", roamer.serverId);
  const signal = AbortSignal.timeout(60_000);
  assert.ok(await agent.waitUntilAnswers(30_000, signal));
  assert.equal(await agent.run("/bin/ping", ["-c", "1", "-W", "5", "10.5.0.12"], 20_000, signal), 0);
  const [nic] = roamer.nics;
  assert.deepEqual((await agent.addresses())[nic?.mac ?? ""], ["10.5.0.11"]);
  assert.match(await lab.driver("one").consoleLog(roamer.serverId, null), /USER-DATA-RAN/);
});

test("a new driver adopts what runs", { skip }, async () => {
  const pid = await lab.pid("one", roamer.serverId);
  await lab.driver("one").close();
  const driver = await lab.startDriver("one");
  const guests = await Array.fromAsync(driver.list());
  assert.deepEqual(
    guests.map(({ serverId, power, diskStorage }) => ({ serverId, power, diskStorage })),
    [{ serverId: roamer.serverId, power: "running", diskStorage: "shared" }],
  );
  assert.deepEqual(guests[0]?.portIds, [roamer.nics[0]?.portId]);
  await driver.ensure(roamer, "running", lab.call());
  assert.equal(await lab.pid("one", roamer.serverId), pid, "ensuring a running guest leaves it alone");
});

test("a guest moves over shared storage without losing a tick", { skip }, (t) =>
  liveMigrate(t, roamer, "shared", "one", "two"),
);

test("a guest moves with its disk without losing a tick", { skip }, (t) =>
  liveMigrate(t, settler, "mirror", "two", "one"),
);

test("a migration is aborted and the guest goes on; a forced one completes", { skip }, async () => {
  const [source, destination] = [lab.driver("two"), lab.driver("one")];
  const id = roamer.serverId;
  const slow = { bandwidthMiBps: 1, downtimeMs: 1 };
  let remaining = -1;
  const watch = (_: number, detail?: Record<string, unknown>) => {
    remaining = Number(detail?.memoryRemaining);
  };
  const aborted = assert.rejects(
    source.liveMigration?.migrateOut(id, await outOptions(roamer, "shared", "one", slow), lab.call("slow", watch)) ??
      assert.fail(),
    code("compute.migration_aborted"),
  );
  await lab.until("memory flows", async () => remaining > 0);
  await source.liveMigration?.abortMigration(id, lab.call());
  await aborted;
  await source.liveMigration?.abortMigration(id, lab.call());
  await destination.liveMigration?.abandonIncoming(id, lab.call());
  assert.equal(await destination.inspect(id), undefined);
  await ticking("two", roamer)();

  remaining = -1;
  const options = await outOptions(roamer, "shared", "one", slow);
  const moving = source.liveMigration?.migrateOut(id, options, lab.call("forced", watch));
  await lab.until("memory flows", async () => remaining > 0);
  await source.liveMigration?.forceCompleteMigration(id, lab.call());
  await moving;
  await assert.rejects(
    destination.liveMigration?.abandonIncoming(id, lab.call()) ?? assert.fail(),
    code("compute.guest_running"),
  );
  const facts = await destination.liveMigration?.finishIncoming(roamer, { paused: false }, lab.call());
  assert.equal(facts?.power, "running");
  const left = await lab.console("two", id);
  await ticking("one", roamer)();
  assertNoTickLost(left, await lab.console("one", id));
  await source.ensureAbsent(id, { disks: false }, lab.call());
});

test("a driver that comes back joins the migration under way", { skip }, async () => {
  const id = settler.serverId;
  const options = await outOptions(settler, "mirror", "two", { bandwidthMiBps: 24 });
  let active = false;
  const watch = (_: number, detail?: Record<string, unknown>) => {
    active ||= Number(detail?.memoryRemaining) > 0;
  };
  const cut = lab.driver("one").liveMigration?.migrateOut(id, options, lab.call("joined", watch)) ?? assert.fail();
  const ended = assert.rejects(cut);
  await lab.until("memory flows", async () => active);
  await lab.driver("one").close();
  await ended;
  const driver = await lab.startDriver("one");
  await driver.liveMigration?.migrateOut(id, options, lab.call("joined"));
  await lab.driver("two").liveMigration?.finishIncoming(settler, { paused: false }, lab.call());
  const left = await lab.console("one", id);
  await ticking("two", settler)();
  assertNoTickLost(left, await lab.console("two", id));
  await driver.ensureAbsent(id, { disks: true }, lab.call());
});

test("network information and a network reset arrive in the guest", { skip }, async () => {
  const driver = lab.driver("one");
  const nic = { ...(roamer.nics[0] ?? assert.fail()), fixedIps: [{ address: "10.5.0.77", prefix: 24, gateway: null }] };
  roamer = { ...roamer, hostname: "renamed", nics: [nic] };
  const injected = await driver.networking?.injectNetworkInfo(roamer, lab.call());
  assert.deepEqual(injected?.[nic.mac], ["10.5.0.77"]);
  const reset = await driver.networking?.resetNetwork(roamer, lab.call());
  assert.deepEqual(reset?.[nic.mac], ["10.5.0.77"]);
  const signal = AbortSignal.timeout(60_000);
  const ping = ["-c", "1", "-W", "5", "10.5.0.12"];
  assert.equal(await lab.agent("one", roamer.serverId).run("/bin/ping", ping, 20_000, signal), 0);
  roamer = { ...roamer, nics: [nic, lab.nic("10.5.1.5")] };
  assert.equal((await driver.networking?.ensureNics(roamer, lab.call()))?.portIds.length, 2);
  roamer = { ...roamer, nics: [nic] };
  assert.deepEqual((await driver.networking?.ensureNics(roamer, lab.call()))?.portIds, [nic.portId]);
});

test("a stopped guest's disk is copied to another host and goes on counting there", { skip }, async () => {
  const [source, destination] = [lab.driver("two"), lab.driver("one")];
  const id = settler.serverId;
  const counted = (await lab.ticks("two", id)).at(-1) ?? 0;
  assert.equal((await source.ensureStopped(id, { graceMs: 20_000 }, lab.call())).power, "stopped");
  assert.match(await source.consoleLog(id, 20), /SHUTTING-DOWN/);
  const uri = (await source.coldMigration?.serveDisk(id, lab.call())) ?? assert.fail();
  assert.equal(await source.coldMigration?.serveDisk(id, lab.call()), uri);
  settler = { ...settler, ramMiB: 160 };
  await destination.coldMigration?.receiveDisk(settler, uri, lab.call());
  await destination.coldMigration?.receiveDisk(settler, uri, lab.call());
  await source.coldMigration?.ensureDiskNotServed(id, lab.call());
  assert.equal((await destination.ensure(settler, "running", lab.call())).ramMiB, 160);
  await source.ensureAbsent(id, { disks: true }, lab.call());
  await ticking("one", settler)();
  const [first = 0] = await lab.ticks("one", id);
  assert.ok(first > 1 && first >= counted - 10, `counted to ${counted}, goes on with ${first}`);
});

test("a reboot happens once for each command, and a guest that ends by itself is told of", { skip }, async () => {
  const driver = lab.driver("one");
  const id = settler.serverId;
  const events: GuestEvent[] = [];
  const told = () => events.map(({ kind, guest }) => [kind, guest.serverId, guest.power]);
  const end = driver.events?.subscribe((event) => events.push(event));
  await driver.reboot(id, { type: "hard", graceMs: 0 }, lab.call("reboot"));
  const pid = await lab.pid("one", id);
  await driver.reboot(id, { type: "hard", graceMs: 0 }, lab.call("reboot"));
  assert.equal(await lab.pid("one", id), pid);
  assert.deepEqual(told(), []);
  process.kill(pid ?? assert.fail(), "SIGKILL");
  await lab.until("the death is told", async () => events.length > 0);
  assert.deepEqual(told(), [["died", id, "crashed"]]);
  await lab.agent("one", roamer.serverId).send("guest-shutdown", { mode: "powerdown" });
  await lab.until("the power-off is told", async () => events.length > 1);
  assert.deepEqual(told()[1], ["stopped", roamer.serverId, "stopped"]);
  end?.();
});

test("a fenced host's guests are gone for certain", { skip }, async () => {
  const [driver, other] = [lab.driver("one"), lab.driver("two")];
  await driver.ensure(roamer, "running", lab.call());
  const pid = await lab.pid("one", roamer.serverId);
  assert.ok(pid);
  await assert.rejects(
    other.fencing?.fence("three", roamer.serverId, lab.call()) ?? assert.fail(),
    code("compute.fencing_unsupported"),
  );
  await other.fencing?.fence("one", roamer.serverId, lab.call());
  assert.equal(await lab.pid("one", roamer.serverId), null);
  assert.equal((await driver.inspect(roamer.serverId))?.power, "crashed");
});
