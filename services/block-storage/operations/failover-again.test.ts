import assert from "node:assert/strict";
import { it } from "node:test";
import { OWN } from "../../../agent/drivers/block-storage/sim/sim-pool.ts";
import type { OperationTables } from "../../../kernel/operations/tables.ts";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import { StorageFleetWorld } from "./testing/fleet-world.ts";

onBothStores("a failover to an array that cannot be reached", (open) => {
  const about = { host: "c@solo", binary: "cinder-volume" };

  it("ends in failover-error, and can be asked for again once the service has started and is enabled", async () => {
    const world = await StorageFleetWorld.open(open, { c: { backend: "solo", replicationTargets: ["second"] } });
    try {
      const pool = world.pools.get("c");
      assert.ok(pool);
      const to = (backend_id: string) => world.ask("PUT", "/os-services/failover", { host: about.host, backend_id });
      const ended = async (backend_id: string) => {
        assert.equal((await to(backend_id)).status, 202);
        await world.toTheEnd();
        const { body } = await world.ask("GET", `/os-services?host=${about.host}`);
        const [{ status, disabled_reason, replication_status, active_backend_id }] = body.services;
        return [status, disabled_reason, replication_status, active_backend_id];
      };
      const startAndEnable = async () => {
        assert.equal((await to("second")).status, 400);
        await world.agents.restart("c");
        await world.agents.settle();
        await world.must("PUT", "/os-services/enable", about);
      };

      world.storage.killArray(pool, "second", { disks: true });
      assert.deepEqual(await ended("second"), ["disabled", null, "failover-error", null]);
      const last = world.api.store.read.tables<OperationTables>().selectFrom("operations").select("detail");
      const { detail } = await last.orderBy("created_at", "desc").executeTakeFirstOrThrow();
      assert.equal(detail, JSON.stringify({ refused: "storage.target_unreachable" }));

      world.storage.repairArray(pool, "second");
      await startAndEnable();
      assert.deepEqual(await ended("second"), ["disabled", "failed-over", "failed-over", "second"]);

      world.storage.killArray(pool, OWN, { disks: true });
      assert.deepEqual(await ended("default"), ["disabled", "failed-over", "failover-error", "second"]);
      world.storage.repairArray(pool, OWN);
      await startAndEnable();
      assert.deepEqual(await ended("default"), ["enabled", "", "enabled", ""]);
    } finally {
      await world.close();
    }
  });
});
