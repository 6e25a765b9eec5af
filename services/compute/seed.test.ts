import assert from "node:assert/strict";
import { it } from "node:test";
import { onBothStores } from "../../kernel/store/testing/stores.ts";
import { seedFlavors } from "./seed.ts";
import { computeWorld } from "./testing/compute-world.ts";

onBothStores("seeded flavors", (open) => {
  it("come once, local and shared", async () => {
    const world = await computeWorld(open);
    try {
      await seedFlavors(world.deps.kernel);
      await seedFlavors(world.deps.kernel);
      const { flavors } = (await world.ask("reader", "GET", "/flavors/detail", { version: "2.61" })).body;
      const seen = flavors.map((flavor: { name: string; ram: number; extra_specs: Record<string, string> }) => [
        flavor.name,
        flavor.ram,
        flavor.extra_specs["pileus:storage"] ?? "local",
      ]);
      assert.deepEqual(seen, [
        ["m1.tiny", 128, "local"],
        ["m1.small", 192, "local"],
        ["m1.medium", 256, "local"],
        ["m1.tiny.shared", 128, "shared"],
        ["m1.small.shared", 192, "shared"],
        ["m1.medium.shared", 256, "shared"],
      ]);
    } finally {
      await world.close();
    }
  });
});
