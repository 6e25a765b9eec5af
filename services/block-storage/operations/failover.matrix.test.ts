import assert from "node:assert/strict";
import { faultMatrix } from "../../../kernel/operations/testing/fault-matrix.ts";
import { failoverOperation } from "./failover.ts";
import { scopeTarget } from "./scope-calls.ts";
import { BackendWorld, BoundTools, backendWorldMigrations } from "./testing/backend-world.ts";

const bound = new BoundTools();
const definition = failoverOperation(bound);

const ids = { replicated: "", stale: "", single: "" };

for (const [name, scope] of [
  ["of a host", "a@r"],
  ["of a cluster", "pileus@r"],
] as const) {
  const cluster = name === "of a cluster" ? scope : null;
  const given = async (world: BackendWorld, target: string | null) => {
    await world.backend("a@r", cluster);
    if (cluster !== null) await world.backend("b@r", cluster);
    const place = { host: "a@r#r", cluster_name: cluster === null ? null : `${cluster}#r` };
    ids.replicated = await world.volume({ ...place, replication_status: "enabled", status: "in-use" });
    ids.stale = await world.volume({ ...place, replication_status: null });
    ids.single = await world.volume({ ...place, replication_status: "disabled", status: "in-use" });
    world.backends.replicas.push({ volumeId: ids.replicated, stale: false }, { volumeId: ids.stale, stale: true });
    const back = target === "default" ? { active_backend_id: "second" } : {};
    const found = await world.set(scope, { replication_status: "failing-over", ...back });
    return { input: { ...scopeTarget(found), target }, resourceId: scope };
  };
  const same = async (world: BackendWorld, flags: unknown[]) => {
    assert.deepEqual(await world.flags("a@r"), flags);
    if (cluster === null) return;
    assert.deepEqual(await world.flags("b@r"), flags);
    assert.deepEqual(await world.clusterFlags(cluster), flags);
  };
  const common = {
    migrations: backendWorldMigrations,
    world: (tools: ConstructorParameters<typeof BackendWorld>[1]) => new BackendWorld(bound, tools),
    afterUnwind: () => assert.fail("it only goes forward"),
  };

  faultMatrix(definition, {
    ...common,
    name,
    given: (world) => given(world, null),
    async afterSuccess(world) {
      await same(world, [1, "failed-over", 0, "failed-over", "second"]);
      assert.deepEqual(await world.seen(ids.replicated), ["in-use", null, "failed-over", "available"]);
      assert.deepEqual(await world.seen(ids.stale), ["error", "available", "failover-error", "error"]);
      assert.deepEqual(await world.seen(ids.single), ["error", "in-use", "not-capable", "error"]);
      const to = cluster === null ? "a" : `@${cluster}`;
      assert.deepEqual(new Set(world.backends.told), new Set([`${to} backend.failover r`]));
    },
  });

  faultMatrix(definition, {
    ...common,
    name: `${name}, back`,
    given: (world) => given(world, "default"),
    async afterSuccess(world) {
      await same(world, [0, "", 0, "enabled", ""]);
      assert.deepEqual(await world.seen(ids.replicated), ["in-use", null, "enabled", "available"]);
      assert.deepEqual(await world.seen(ids.single), ["in-use", null, "disabled", "available"]);
    },
  });
}
