import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import type { FleetTables } from "../../../kernel/fleet/tables.ts";
import { liveOperations } from "../../../kernel/operations/control.ts";
import { FINAL_STATES, type OperationTables } from "../../../kernel/operations/tables.ts";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import { holdPool, schedulablePools } from "../scheduler/pools.ts";
import { lockScope } from "../store/backends.ts";
import { FROZEN, switchServices } from "../store/switch-services.ts";
import type { BlockStorageTables } from "../store/tables.ts";
import { type BlockStorageWorld, blockStorageWorld } from "../testing/block-storage-world.ts";

const SHARED = "pileus@shared";
const replicated = { replicationEnabled: true, replicationTargets: ["second"] };

onBothStores("freeze, thaw and failover", (open) => {
  let world: BlockStorageWorld;
  before(async () => {
    world = await blockStorageWorld(open);
    await announce();
  });
  after(() => world.close());

  async function announce(): Promise<void> {
    await world.givenBackend("host-1@shared", { cluster: SHARED, facts: replicated });
    await world.givenBackend("host-2@shared", { cluster: SHARED, facts: replicated });
    await world.givenBackend("host-3@replicated", { facts: replicated });
    await world.givenBackend("host-3@plain");
  }

  /** As before anything was asked. */
  async function reset(): Promise<void> {
    await world.store.tx(async (t) => {
      const db = t.tables<BlockStorageTables & FleetTables & OperationTables>();
      const state = { frozen: 0, replication_status: "enabled", active_backend_id: null } as const;
      await db.updateTable("volume_backends").set(state).where("host", "!=", "host-3@plain").execute();
      await db
        .updateTable("volume_clusters")
        .set({ ...state, disabled: 0, disabled_reason: null })
        .execute();
      await db.updateTable("services").set({ disabled: 0, disabled_reason: null }).execute();
      await db.updateTable("operations").set({ state: "abandoned" }).execute();
    });
  }

  const put = async (path: string, body: unknown, version = "3.26") =>
    (await world.ask("admin", "PUT", `/os-services/${path}`, { body, version })).status;
  const shown = async (host: string): Promise<unknown[]> => {
    const { body } = await world.ask("admin", "GET", `/os-services?host=${host}`, { version: "3.49" });
    const [one] = body.services;
    return [one.status, one.disabled_reason, one.frozen, one.replication_status, one.backend_state];
  };
  const live = async (scope: string) => (await liveOperations(world.store.read, scope)).map((row) => row.name);

  it("freezes a backend once, and thaws it once", async () => {
    const host = "host-3@replicated";
    const answer = await world.ask("admin", "PUT", "/os-services/freeze", { body: { host } });
    assert.deepEqual([answer.status, answer.body], [200, undefined]);
    assert.deepEqual(await shown(host), ["disabled", "frozen", true, "enabled", null]);
    assert.equal(await put("freeze", { host }), 400);
    assert.deepEqual(await live(host), ["backend.tell_frozen"]);
    assert.equal(await put("thaw", { host }), 200);
    assert.deepEqual(await shown(host), ["enabled", "", false, "enabled", "up"]);
    assert.equal(await put("thaw", { host }), 400);
    // The agent hears the last word only.
    assert.deepEqual(await live(host), ["backend.tell_frozen"]);
    await reset();
  });

  it("freezes a cluster with all its members, also by the name of one", async () => {
    for (const body of [{ cluster: "pileus" }, { host: "host-2" }]) {
      assert.equal(await put("freeze", body), 200);
      const named = "host" in body ? "host-2" : "host-1";
      for (const host of ["host-1", "host-2"])
        assert.deepEqual((await shown(host)).slice(0, 3), [
          host === named ? "disabled" : "enabled",
          host === named ? "frozen" : null,
          true,
        ]);
      const { body: cluster } = await world.ask("admin", "GET", `/clusters/${SHARED}`, { version: "3.26" });
      assert.deepEqual([cluster.cluster.frozen, cluster.cluster.status], [true, "enabled"]);
      assert.equal(await put("thaw", { cluster: SHARED, host: null }), 200);
      assert.deepEqual((await shown(named)).slice(0, 3), ["enabled", "", false]);
      await reset();
    }
  });

  it("makes a cluster schedulable again by its thaw, also after it has failed over and back while it was frozen", async () => {
    const seen = async () => {
      const { body } = await world.ask("admin", "GET", `/clusters/${SHARED}`, { version: "3.26" });
      const pools = await schedulablePools(world.store.read, world.deps);
      return [body.cluster.status, body.cluster.disabled_reason, pools.some(({ scope }) => scope === SHARED)];
    };
    assert.equal(await put("freeze", { cluster: SHARED }), 200);
    await world.store.tx(async (t) => {
      const scope = await lockScope(t, SHARED);
      // As a failback leaves it.
      if (scope) await switchServices(t, world.clock, scope, { disabled: 1, disabled_reason: FROZEN });
    });
    assert.deepEqual(await seen(), ["disabled", "frozen", false]);
    assert.equal(await put("thaw", { cluster: SHARED }), 200);
    assert.deepEqual(await seen(), ["enabled", "", true]);
    await world.ask("admin", "PUT", "/clusters/disable", {
      body: { name: SHARED, disabled_reason: "x" },
      version: "3.7",
    });
    assert.equal(await put("freeze", { cluster: SHARED }), 200);
    assert.equal(await put("thaw", { cluster: SHARED }), 200);
    assert.deepEqual(await seen(), ["disabled", "x", false]);
    await reset();
  });

  it("wants exactly one backend or cluster, at a version that knows clusters", async () => {
    for (const path of ["freeze", "failover_host", "failover"]) {
      assert.equal(await put(path, {}), 400);
      assert.equal(await put(path, { host: null, cluster: "" }), 400);
      assert.equal(await put(path, { host: "host-1", cluster: SHARED }), 400);
      assert.equal(await put(path, { host: "host-3" }), 400, "two backends");
      assert.equal(await put(path, { host: "nowhere" }), 400);
      assert.equal(await put(path, { cluster: "nowhere" }), 400);
      assert.equal(await put(path, { host: "host-3@plain", more: 1 }), 400);
    }
    assert.equal(await put("freeze", { cluster: SHARED }, "3.25"), 400);
    assert.equal(await put("freeze", { host: "host-3@plain", cluster: SHARED }, "3.25"), 200);
    assert.equal(await put("thaw", { host: "host-3@plain" }, "3.0"), 200);
    assert.equal(await put("failover", { host: "host-3@replicated" }, "3.25"), 404);
    for (const path of ["freeze", "thaw", "failover"]) {
      const { status } = await world.ask("member", "PUT", `/os-services/${path}`, {
        body: { host: "x" },
        version: "3.26",
      });
      assert.equal(status, 403);
    }
    await reset();
  });

  it("accepts a failover from a good state of what lives", async () => {
    const host = "host-3@replicated";
    const answer = await world.ask("admin", "PUT", "/os-services/failover_host", {
      body: { host, backend_id: "second" },
    });
    assert.deepEqual([answer.status, answer.body], [202, undefined]);
    assert.deepEqual(await shown(host), ["enabled", null, false, "failing-over", null]);
    assert.deepEqual(await live(host), ["backend.failover"]);
    assert.equal(await put("failover", { host }), 400, "under way");
    assert.equal(await put("failover_host", { host: "host-3@plain" }), 400, "not replicated");
    await reset();
    assert.equal(await put("failover_host", { cluster: SHARED }, "3.25"), 400);
    assert.equal(await put("failover_host", { cluster: SHARED, backend_id: null }), 202);
    for (const member of ["host-1", "host-2"]) assert.equal((await shown(member))[3], "failing-over");
    await reset();
    world.clock.advance(61_000);
    assert.equal(await put("failover", { host }), 400, "down");
    await world.givenBackend("host-2@shared", { cluster: SHARED, facts: replicated });
    assert.equal(await put("failover", { host: "host-1" }), 202, "another member lives");
    await announce();
    await reset();
  });

  it("leaves a failover that is under way alone when the service starts, and repairs everything else", async () => {
    const host = "host-3@replicated";
    await put("failover", { host });
    await announce();
    assert.equal((await shown(host))[3], "failing-over");
    await world.store.tx((t) => t.tables<OperationTables>().updateTable("operations").set({ state: "done" }).execute());
    await announce();
    assert.equal((await shown(host))[3], "enabled");
    await reset();
  });

  it("one of many failovers at once is accepted, one of many freezes", async () => {
    const host = "host-3@replicated";
    const failovers = await Promise.all(Array.from({ length: 8 }, () => put("failover", { host })));
    assert.deepEqual(failovers.toSorted(), [202, ...Array(7).fill(400)]);
    assert.deepEqual(await live(host), ["backend.failover"]);
    const freezes = await Promise.all(Array.from({ length: 8 }, () => put("freeze", { host })));
    assert.deepEqual(freezes.toSorted(), [200, ...Array(7).fill(400)]);
    await reset();
  });

  it("flags end as one of the requests left them, and every operation that matters is there", async () => {
    const requests = [
      () => put("freeze", { host: "host-1" }),
      () => put("thaw", { host: "host-1" }),
      () => put("disable", { host: "host-1@shared", binary: "cinder-volume" }),
      () => put("enable", { host: "host-1@shared", binary: "cinder-volume" }),
      () => put("failover", { cluster: SHARED }),
    ];
    for (let round = 0; round < 4; round += 1) {
      const answers = await Promise.all([...requests, ...requests].map((request) => request()));
      assert.ok(
        answers.every((status) => [200, 202, 400].includes(status)),
        String(answers),
      );
      assert.equal(answers.filter((status) => status === 202).length, 1);
      const db = world.store.read.tables<BlockStorageTables & OperationTables>();
      const cluster = await db.selectFrom("volume_clusters").selectAll().executeTakeFirstOrThrow();
      const members = await db.selectFrom("volume_backends").selectAll().where("cluster", "=", SHARED).execute();
      for (const member of members) {
        assert.equal(member.frozen, cluster.frozen);
        assert.equal(member.replication_status, "failing-over");
      }
      const under = await db.selectFrom("operations").selectAll().where("state", "not in", FINAL_STATES).execute();
      const told = under.filter((row) => row.name === "backend.tell_frozen");
      assert.ok(told.length <= 1);
      const [last] = told;
      if (last) assert.equal(JSON.parse(last.input).frozen, cluster.frozen === 1);
      await reset();
    }
  });

  it("no volume is placed on a backend after it was frozen, disabled or failed over", async () => {
    const against = [
      () => put("freeze", { host: "host-3@replicated" }),
      () => put("disable", { host: "host-3@replicated", binary: "cinder-volume" }),
      () => put("failover", { host: "host-3@replicated" }),
      () => world.ask("admin", "PUT", "/clusters/disable", { body: { name: SHARED }, version: "3.7" }),
    ];
    for (const request of against) {
      let over = false;
      let late = 0;
      const place = async () => {
        for (const pool of await schedulablePools(world.store.read, world.deps)) {
          if (pool.scope === "host-3@plain") continue;
          const wasOver = over;
          await world.store.tx(async (t) => {
            const held = await holdPool(t, world.deps, pool);
            if (held && wasOver && (request === against[3]) === (pool.scope === SHARED)) late += 1;
          });
        }
      };
      const placing = Array.from({ length: 6 }, place);
      const asked = request().then(() => {
        over = true;
      });
      await Promise.all([...placing, asked, place(), place()]);
      await place();
      assert.equal(late, 0);
      const left = (await schedulablePools(world.store.read, world.deps)).map((pool) => pool.scope);
      assert.ok(!left.includes(request === against[3] ? SHARED : "host-3@replicated"));
      await reset();
    }
  });
});
