import { systemClock } from "../../../../kernel/clock/clock.ts";
import { systemIds } from "../../../../kernel/ids/ids.ts";
import { coreCases } from "../../../conformance/compute-core-cases.ts";
import { computeDriverConformance } from "../../../conformance/compute-driver-conformance.ts";
import { migrationCases } from "../../../conformance/compute-migration-cases.ts";
import { volumeCases } from "../../../conformance/compute-volume-cases.ts";
import { volumeDataCases } from "../../../conformance/compute-volume-data-cases.ts";
import { serialOf, type VolumeTools } from "../../../conformance/compute-volumes.ts";
import { testSpecs } from "../../../sim/testing/test-specs.ts";
import { createSimComputeDriver } from "./sim-compute-driver.ts";
import { SimWorld } from "./sim-world.ts";

const GIB = 1024 ** 3;

computeDriverConformance({
  name: "sim",
  cases: [...coreCases, ...migrationCases, ...volumeCases, ...volumeDataCases],
  async make() {
    const world = new SimWorld({ clock: systemClock, mode: "auto" });
    const specs = testSpecs();
    const hosts = ["host-1", "host-2"].map((name) => {
      world.addHost({ name, sharedStorage: "store-1" });
      let driver = createSimComputeDriver({ world, host: name });
      return {
        name,
        get driver() {
          return driver;
        },
        async restart() {
          await driver.close();
          driver = createSimComputeDriver({ world, host: name });
        },
      };
    });
    return {
      hosts,
      spec: (options) => specs.next(options),
      image: async () => {
        throw new Error("simulated guests need no image file");
      },
      boots: (log) => log.match(/^Booting /gm)?.length ?? 0,
      crash: async (host, serverId) => world.crashGuest(host, serverId),
      leftovers: async () => {
        const left = world.leftovers();
        const things = [...left.guests, ...left.disks, ...left.ports, ...left.volumes, ...left.listeners];
        return [...things.map((thing) => JSON.stringify(thing)), ...world.violations];
      },
      volumes: simVolumeTools(world),
      limitMs: 30_000,
      async dispose() {
        for (const host of hosts) await host.driver.close();
        for (const { host, serverId } of world.leftovers().guests) world.crashGuest(host, serverId);
      },
    };
  },
});

/** Nobody serves simulated volumes to simulated guests: a guest sees of one what its host was told. */
function simVolumeTools(world: SimWorld): VolumeTools {
  const sizes = new Map<string, number>();
  const connection = (name: string) => ({ kind: "unix", path: `/run/${name}.sock`, export: name }) as const;
  return {
    async serve() {
      const volumeId = systemIds.uuid();
      sizes.set(volumeId, GIB);
      return {
        volumeId,
        connection: connection(volumeId),
        sizeBytes: GIB,
        grow: async () => 2 * GIB,
        kill: async () => {},
        revive: async () => {},
        mirror: async () => connection("second"),
        retire: async () => {},
      };
    },
    async disksIn(host, serverId) {
      const guest = world.host(host)?.guests.get(serverId);
      if (!guest?.active) return [];
      return guest.volumes.map(({ volumeId, device }) => ({
        device,
        serial: serialOf(volumeId),
        bytes: guest.volumeSizes.get(volumeId) ?? sizes.get(volumeId) ?? 0,
      }));
    },
    streams: null,
  };
}
