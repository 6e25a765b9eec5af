import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { after, before, describe, it, type TestContext } from "node:test";
import { sleep, systemClock } from "../../kernel/clock/clock.ts";
import { type AtRest, assertCleanCloud } from "../contract/support/clean-cloud.ts";
import { RealCloud, until, whyNoRealCloud } from "../contract/support/real-cloud.ts";

/** How long a killed process stays away. */
const AWAY_MS = 500;
/** Kills fall into this much of each kind of move, from its request on. */
const LIVE_SPAN_MS = 4_000;
const COLD_SPAN_MS = 12_000;
const ENDED = ["completed", "confirmed", "cancelled", "failed", "error"];

describe("migrations on real hosts while processes are killed", { skip: await whyNoRealCloud() }, () => {
  let cloud: RealCloud;
  let local: AtRest;
  let shared: AtRest;

  before(async () => {
    cloud = await RealCloud.start();
    const create = async (name: string, flavor: string) =>
      String(
        (await cloud.admin.json(`server create --image pileus-guest --flavor ${flavor} --network private ${name}`)).id,
      );
    local = { id: await create("local", "m1.tiny"), storage: "local" };
    shared = { id: await create("shared", "m1.tiny.shared"), storage: "shared" };
    for (const { id } of [local, shared]) {
      await cloud.api.untilStatus(id, "ACTIVE");
      await uptime(id);
    }
  });
  after(() => cloud?.dispose());

  const hostOf = async (id: string) => (await cloud.api.server(id))["OS-EXT-SRV-ATTR:host"] ?? assert.fail("no host");
  const uptime = async (id: string) =>
    Number(await cloud.sight(await hostOf(id)).run(id, "cut -d' ' -f1 /proc/uptime"));

  /** Kills each process that takes part, each at a moment of its own, and starts it again. */
  const killAll = async (t: TestContext, victims: readonly string[], spanMs: number) => {
    await Promise.all(
      victims.map(async (victim) => {
        const at = randomInt(spanMs);
        t.diagnostic(`kills ${victim} after ${at} ms`);
        await sleep(systemClock, at);
        await cloud.kill(victim);
        await sleep(systemClock, AWAY_MS);
        if (victim === "server") await cloud.startServer();
        else await cloud.startAgent(victim);
      }),
    );
  };
  const destination = (source: string) => cloud.hosts.filter((host) => host !== source)[randomInt(2)] ?? source;

  const liveMigration = async (t: TestContext, moved: AtRest) => {
    const source = await hostOf(moved.id);
    const host = destination(source);
    const before = await uptime(moved.id);
    await cloud.api.act(moved.id, { "os-migrateLive": { host, block_migration: "auto" } });
    await killAll(t, ["server", source, host], LIVE_SPAN_MS);
    await cloud.api.untilStatus(moved.id, "ACTIVE");
    await atRest(t, moved, source);
    assert.ok((await uptime(moved.id)) > before, "the guest went on");
  };
  const coldMigration = async (t: TestContext, moved: AtRest) => {
    const source = await hostOf(moved.id);
    const host = destination(source);
    await cloud.sight(source).run(moved.id, "echo kept >/root/kept && sync");
    await cloud.api.act(moved.id, { migrate: { host } });
    await killAll(t, ["server", source, host], COLD_SPAN_MS);
    const { status } = await cloud.api.untilServer(moved.id, (server) =>
      ["ACTIVE", "VERIFY_RESIZE"].includes(server.status),
    );
    if (status === "VERIFY_RESIZE") {
      for (const each of cloud.hosts) await cloud.untilUp(each);
      await cloud.api.act(moved.id, { confirmResize: null });
      await cloud.api.untilStatus(moved.id, "ACTIVE");
    }
    await atRest(t, moved, source);
    assert.equal(await cloud.sight(await hostOf(moved.id)).run(moved.id, "cat /root/kept"), "kept");
  };
  const atRest = async (t: TestContext, moved: AtRest, source: string) => {
    await assertCleanCloud(cloud, [local, shared]);
    await until("every migration has ended", 10_000, async () =>
      (await cloud.api.migrations(moved.id)).every(({ status }) => ENDED.includes(status)),
    );
    const home = await hostOf(moved.id);
    t.diagnostic(home === source ? `is on ${home} as before` : `has gone from ${source} to ${home}`);
    for (const host of cloud.hosts) await cloud.untilUp(host);
  };

  it("live, with the disk", (t) => liveMigration(t, local));
  it("live, on shared storage", (t) => liveMigration(t, shared));
  it("cold", (t) => coldMigration(t, local));
  it("live, with the disk, once more", (t) => liveMigration(t, local));
  it("live, on shared storage, once more", (t) => liveMigration(t, shared));
});
