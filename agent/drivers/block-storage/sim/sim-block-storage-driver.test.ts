import assert from "node:assert/strict";
import { systemClock } from "../../../../kernel/clock/clock.ts";
import { systemIds } from "../../../../kernel/ids/ids.ts";
import { abilityCases } from "../../../conformance/block-storage-ability-cases.ts";
import { awayCases } from "../../../conformance/block-storage-away-cases.ts";
import { coreCases } from "../../../conformance/block-storage-core-cases.ts";
import { blockStorageDriverConformance } from "../../../conformance/block-storage-driver-conformance.ts";
import type { ConformanceBackend } from "../../../conformance/block-storage-environment.ts";
import { createSimBlockStorageDriver } from "./sim-block-storage-driver.ts";
import { SimDisk } from "./sim-disk.ts";
import type { SimPool } from "./sim-pool.ts";
import { SimStorageWorld } from "./sim-storage-world.ts";

blockStorageDriverConformance({
  name: "sim",
  cases: [...coreCases, ...abilityCases, ...awayCases],
  async make() {
    const world = new SimStorageWorld({ clock: systemClock });
    const capacityGiB = 8;
    const shared = { backend: "shared", cluster: "pileus@shared", capacityGiB, replicationTargets: ["second"] };
    const pool = world.addBackend("host-1", shared);
    assert.equal(world.addBackend("host-2", shared), pool);
    const apart = world.addBackend("host-3", { backend: "apart", capacityGiB });
    const imageId = systemIds.uuid();
    const content = Buffer.alloc(4096, "an image");
    world.images.set(imageId, content);
    const clients = new AbortController();
    const backend = (host: string, of: SimPool): ConformanceBackend => {
      let driver = createSimBlockStorageDriver({ world, host, pool: of });
      return {
        get driver() {
          return driver;
        },
        async restart() {
          await driver.close();
          driver = createSimBlockStorageDriver({ world, host, pool: of });
        },
      };
    };
    return {
      a: backend("host-1", pool),
      b: backend("host-2", pool),
      other: backend("host-3", apart),
      capacityGiB,
      connect: (connection) => ({
        write: (offset, data) => world.write(connection, offset, data, clients.signal),
        read: (offset, length) => world.read(connection, offset, length, clients.signal),
        size: () => world.size(connection, clients.signal),
        close: () => {},
      }),
      image: {
        source: { imageId, format: "raw", sizeBytes: 8 * 1024 * 1024, sha256: "0".repeat(64) },
        path: async () => assert.fail("simulated volumes need no image file"),
        content,
      },
      async strayData(data, bytes) {
        const disk = new SimDisk();
        disk.write(0, data);
        apart.stray.set("found.raw", { disk, bytes });
        return "found.raw";
      },
      killArray: async (site) => world.killArray(pool, site),
      loseDisks: async (site) => world.killArray(pool, site, { disks: true }),
      findDisks: async (site) => world.repairArray(pool, site),
      leftovers: async () => world.leftovers(),
      limitMs: 20_000,
      dispose: async () => clients.abort(),
    };
  },
});
