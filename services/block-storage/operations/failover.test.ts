import assert from "node:assert/strict";
import { it } from "node:test";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { silentLogger } from "../../../kernel/log/logger.ts";
import { OperationRunner } from "../../../kernel/operations/runner.ts";
import { worldTools } from "../../../kernel/operations/testing/world-tools.ts";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import { failoverOperation } from "./failover.ts";
import { scopeTarget } from "./scope-calls.ts";
import { BackendWorld, BoundTools, backendWorldMigrations } from "./testing/backend-world.ts";

onBothStores("failover", (open) => {
  const bound = new BoundTools();
  const definition = failoverOperation(bound);

  /** One backend that fails over to `target`, as it was accepted in `before`. */
  async function run(
    target: string | null,
    before: Parameters<BackendWorld["set"]>[1],
    prepare: (world: BackendWorld) => Promise<void> | void = () => {},
  ): Promise<BackendWorld> {
    const tools = worldTools((await open(backendWorldMigrations)).store);
    const { store, clock, control } = tools;
    const world = new BackendWorld(bound, tools);
    await world.backend("a@r");
    await prepare(world);
    const scope = await world.set("a@r", { ...before, replication_status: "failing-over" });
    const input = { ...scopeTarget(scope), target };
    await store.tx((t) => control.start(t, definition, { input, resourceId: "a@r" }));
    const definitions = [definition];
    const { callers } = world;
    await new OperationRunner({ store, clock, log: silentLogger, callers, definitions, owner: "test" }).drain();
    return world;
  }

  it("back to a frozen backend: it stays disabled until it is thawed", async () => {
    const world = await run("default", { frozen: 1, active_backend_id: "second" });
    assert.deepEqual(await world.flags("a@r"), [1, "frozen", 1, "enabled", ""]);
  });

  it("to a target that does not exist: as before, but what had no replica stays behind", async () => {
    let single = "";
    const prepare = async (world: BackendWorld) => {
      single = await world.volume({ host: "a@r#r", replication_status: "not-capable" });
    };
    const never = await run("nowhere", {}, prepare);
    assert.deepEqual(await never.flags("a@r"), [0, null, 0, "enabled", null]);
    assert.deepEqual(await never.seen(single), ["error", "available", "not-capable", "error"]);
    const away = await run("nowhere", { active_backend_id: "second" });
    assert.deepEqual(await away.flags("a@r"), [0, null, 0, "failed-over", "second"]);
    const nonsense = await run("no such/target", {});
    assert.deepEqual(await nonsense.flags("a@r"), [0, null, 0, "enabled", null]);
    assert.deepEqual(nonsense.backends.told, []);
  });

  it("that the backend refuses: failover-error, disabled without a reason", async () => {
    let replicated = "";
    const world = await run("second", {}, async (given) => {
      replicated = await given.volume({ host: "a@r#r", replication_status: "enabled" });
      given.backends.refusal = new CloudError("conflict", "storage.broken", "No.");
    });
    assert.deepEqual(await world.flags("a@r"), [1, null, 0, "failover-error", null]);
    assert.deepEqual(await world.seen(replicated), ["available", null, "enabled", "available"]);
  });

  it("leaves in error what has a replica and is not reported, unless it is still to be made or on its way out", async () => {
    const ids = new Map<string, string>();
    const world = await run("second", {}, async (given) => {
      for (const status of ["in-use", "creating", "managing", "error_managing", "deleting"] as const)
        ids.set(status, await given.volume({ host: "a@r#r", replication_status: "enabled", status }));
      ids.set("stale", await given.volume({ host: "a@r#r", replication_status: "enabled", status: "creating" }));
      given.backends.replicas.push({ volumeId: ids.get("stale") ?? "", stale: true });
    });
    const seen = (status: string) => world.seen(ids.get(status) ?? "");
    assert.deepEqual(await seen("in-use"), ["error", "in-use", "failover-error", "error"]);
    for (const status of ["creating", "managing", "error_managing"])
      assert.deepEqual((await seen(status)).slice(0, 3), [status, null, "enabled"]);
    assert.deepEqual((await seen("deleting")).slice(0, 3), ["deleting", null, "enabled"]);
    assert.deepEqual(await seen("stale"), ["error", "creating", "failover-error", "error"], "it had been made");
    assert.deepEqual(new Set(await world.messages()), new Set([ids.get("in-use"), ids.get("stale")]));
  });

  it("tells the owner of each volume that is lost, once", async () => {
    const lost = new Set<string>();
    const world = await run("second", {}, async (given) => {
      lost.add(await given.volume({ host: "a@r#r", replication_status: "disabled" }));
      lost.add(await given.volume({ host: "a@r#r", replication_status: "enabled" }));
      await given.volume({ host: "a@r#r", replication_status: "not-capable", status: "error" });
    });
    assert.deepEqual(new Set(await world.messages()), lost);
    assert.equal((await world.messages()).length, lost.size);
  });

  it("that was overtaken at the agent by another operation is asked for again, and is not refused", async () => {
    const world = await run("second", {}, (given) => {
      given.backends.refusal = new CloudError("conflict", "fleet.stale_epoch", "A newer holder has taken over.");
    });
    assert.deepEqual(await world.flags("a@r"), [0, null, 0, "failing-over", null]);
  });

  it("touches the volumes of that backend only, and none that is deleted", async () => {
    const others: string[] = [];
    const world = await run(null, {}, async (given) => {
      for (const host of ["a@r2#r", "a@rr", "b@r#r"])
        others.push(await given.volume({ host, replication_status: "disabled" }));
      others.push(await given.volume({ host: "a@r#r", replication_status: "enabled", deleted_at: 1 }));
    });
    for (const id of others.slice(0, 3))
      assert.deepEqual(await world.seen(id), ["available", null, "disabled", "available"]);
    assert.deepEqual(await world.seen(others[3] ?? ""), ["available", null, "enabled", "available"]);
  });
});
