import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import type { BlockStorageTables } from "../store/tables.ts";
import { type BlockStorageWorld, blockStorageWorld } from "../testing/block-storage-world.ts";
import { snapshotRow } from "../testing/rows.ts";

const DAY_MS = 86_400_000;

onBothStores("filters of lists", (open) => {
  let world: BlockStorageWorld;
  before(async () => {
    world = await blockStorageWorld(open);
    const start = Date.UTC(2026, 0, 1);
    for (const [day, zone] of [
      [1, "nova"],
      [2, "nova"],
      [3, "edge"],
    ] as const) {
      const created_at = start + (day - 1) * DAY_MS;
      const volume = await world.givenVolume({ name: `day-${day}`, zone, created_at, updated_at: null });
      const snapshot = { name: `day-${day}`, created_at, metadata: JSON.stringify({ day: String(day) }) };
      await world.store.tx((t) =>
        t
          .tables<BlockStorageTables>()
          .insertInto("volume_snapshots")
          .values({ ...snapshotRow(volume), ...snapshot })
          .execute(),
      );
    }
  });
  after(() => world.close());

  const get = (path: string, version = "3.71") => world.ask("reader", "GET", path, { version });
  const names = async (collection: "volumes" | "snapshots", query: string, version?: string): Promise<string[]> => {
    const { status, body } = await get(`/${collection}?sort=created_at:asc&${query}`, version);
    assert.equal(status, 200, JSON.stringify(body));
    return body[collection].map((each: { name: string }) => each.name);
  };

  it("are taken as /resource_filters tells them", async () => {
    const values: Readonly<Record<string, string>> = {
      metadata: "{'a':'b'}",
      bootable: "true",
      size: "1",
      created_at: "lt:2026-01-01",
      updated_at: "gt:2026-01-01",
    };
    const { resource_filters: told } = (await get("/resource_filters")).body;
    for (const { resource, filters } of told as { resource: string; filters: string[] }[]) {
      if (resource !== "volume" && resource !== "snapshot" && resource !== "message") continue;
      for (const filter of filters) {
        const answer = await get(`/${resource}s?${filter}=${encodeURIComponent(values[filter] ?? "x")}`);
        assert.equal(answer.status, 200, `${resource} by ${filter}: ${JSON.stringify(answer.body)}`);
      }
    }
  });

  it("compare times since 3.60", async () => {
    for (const collection of ["volumes", "snapshots"] as const) {
      const at = (query: string, version?: string) => names(collection, query, version);
      assert.deepEqual(await at("created_at=gte:2026-01-02T00:00:00"), ["day-2", "day-3"]);
      assert.deepEqual(await at("created_at=gt:2026-01-01T00:00:00Z,lt:2026-01-03T00:00:00Z"), ["day-2"]);
      assert.deepEqual(await at("created_at=2026-01-03T00:00:00"), ["day-3"]);
      assert.deepEqual(await at("created_at=neq:2026-01-03"), ["day-1", "day-2"]);
      assert.deepEqual(await at("created_at=eq:2026-01-01T01:00:00%2B01:00"), ["day-1"]);
      assert.equal((await at("created_at=lte:2020-01-01", "3.59")).length, 3);
      for (const bad of ["soon", "gt:", "after:2026-01-01", ""])
        assert.equal((await get(`/${collection}?created_at=${bad}`)).status, 400, bad);
    }
  });

  it("find snapshots by metadata and by the zone of their volume", async () => {
    assert.deepEqual(await names("snapshots", "availability_zone=edge"), ["day-3"]);
    assert.deepEqual(await names("snapshots", `metadata=${encodeURIComponent("{'day': '2'}")}`), ["day-2"]);
    const counted = (await get("/snapshots?with_count=true&availability_zone=nova")).body;
    assert.deepEqual([counted.count, counted.snapshots.length], [2, 2]);
  });
});
