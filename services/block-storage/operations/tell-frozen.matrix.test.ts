import assert from "node:assert/strict";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { faultMatrix } from "../../../kernel/operations/testing/fault-matrix.ts";
import { scopeTarget } from "./scope-calls.ts";
import { tellFrozenOperation } from "./tell-frozen.ts";
import { BackendWorld, BoundTools, backendWorldMigrations } from "./testing/backend-world.ts";

const bound = new BoundTools();
const definition = tellFrozenOperation(bound);

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
    return { input: { ...scopeTarget(scope), frozen: true, service: "a@r" }, resourceId: "a@r" };
  },
  afterSuccess: (world) => assert.equal(world.backends.frozen, true),
});

faultMatrix(definition, {
  ...common,
  name: "thawed, which the backend refuses",
  async given(world) {
    await world.backend("a@r");
    world.backends.refusal = new CloudError("conflict", "storage.broken", "No.");
    const scope = await world.set("a@r", { frozen: 0 });
    return { input: { ...scopeTarget(scope), frozen: false, service: "a@r" }, resourceId: "a@r" };
  },
  async afterSuccess(world) {
    assert.deepEqual(await world.flags("a@r"), [1, "frozen", 0, "enabled", null]);
  },
});
