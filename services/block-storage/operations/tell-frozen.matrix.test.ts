import assert from "node:assert/strict";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { faultMatrix } from "../../../kernel/operations/testing/fault-matrix.ts";
import { scopeTarget } from "./scope-calls.ts";
import { tellFrozenOperation } from "./tell-frozen.ts";
import { BackendWorld, BoundTools, backendWorldMigrations } from "./testing/backend-world.ts";

const bound = new BoundTools();
const definition = tellFrozenOperation(bound);

const MEMBERS = ["a@r", "b@r"];

const common = {
  migrations: backendWorldMigrations,
  world: (tools: ConstructorParameters<typeof BackendWorld>[1]) => new BackendWorld(bound, tools),
  afterUnwind: () => assert.fail("it only goes forward"),
};

faultMatrix(definition, {
  ...common,
  name: "frozen",
  async given(world) {
    await world.backend("a@r");
    const scope = await world.set("a@r", { frozen: 1 });
    return { input: { ...scopeTarget(scope), frozen: true }, resourceId: "a@r" };
  },
  afterSuccess: (world) => assert.equal(world.backends.frozen, true),
});

for (const cluster of [null, "pileus@r"]) {
  const scope = cluster ?? "a@r";
  faultMatrix(definition, {
    ...common,
    name: `thawed, which the backend refuses, ${cluster === null ? "a host" : "a cluster"}`,
    async given(world) {
      for (const host of MEMBERS) await world.backend(host, cluster);
      world.backends.refusal = new CloudError("conflict", "storage.broken", "No.");
      const found = await world.set(scope, { frozen: 0 });
      return { input: { ...scopeTarget(found), frozen: false }, resourceId: scope };
    },
    async afterSuccess(world) {
      const closed = [1, "frozen", 0, "enabled", null];
      for (const host of MEMBERS)
        assert.deepEqual(
          await world.flags(host),
          cluster === null && host !== scope ? [0, null, ...closed.slice(2)] : closed,
        );
      if (cluster !== null) assert.deepEqual(await world.clusterFlags(cluster), closed);
    },
  });
}
