import { createHash } from "node:crypto";
import { access, mkdir, mkdtemp, readdir, rename, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../../../kernel/clock/clock.ts";
import { systemIds } from "../../../../../kernel/ids/ids.ts";
import { silentLogger } from "../../../../../kernel/log/logger.ts";
import type { BlockStorageEnvironment, ConformanceBackend } from "../../../../conformance/block-storage-environment.ts";
import { tryCommand } from "../../../../process/run-command.ts";
import { killForCertain } from "../../../../process/running-process.ts";
import { createFileNbdDriver } from "../driver.ts";
import type { FileNbdOptions } from "../options.ts";
import { daemonsMarked } from "../process-identity.ts";
import { Site } from "../site.ts";
import { NbdClient } from "./nbd-client.ts";

const LIMIT_MS = 60_000;
const IMAGE_BYTES = 8 * 1024 * 1024;

/** Why nothing can be served on this machine; null when it can. */
export async function whyNoStorage(): Promise<string | null> {
  const found = await tryCommand("qemu-storage-daemon", ["--version"]).catch(() => undefined);
  return found?.code === 0 ? null : "qemu-storage-daemon is not installed";
}

export interface StorageLab extends BlockStorageEnvironment {
  /** Of one more member of the cluster. */
  readonly memberOptions: Omit<FileNbdOptions, "clock" | "ids" | "log">;
}

/** Two members of a cluster over one replicated array, and a backend apart, in a folder of their own. */
export async function storageLab(): Promise<StorageLab> {
  const dir = await mkdtemp(join(tmpdir(), "pl-"));
  const capacityGiB = 8;
  const common = { capacityGiB, reservedPercent: 0, runDir: join(dir, "run"), clock: systemClock, ids: systemIds };
  const shared = (host: string): FileNbdOptions => ({
    ...common,
    host,
    stateDir: join(dir, "state", host),
    backend: "shared",
    cluster: "pileus@shared",
    directory: join(dir, "shared"),
    replicationTargets: [{ id: "second", directory: join(dir, "second") }],
    log: silentLogger,
  });
  const apart: FileNbdOptions = {
    ...common,
    host: "host-3",
    stateDir: join(dir, "state", "host-3"),
    backend: "apart",
    cluster: null,
    directory: join(dir, "apart"),
    replicationTargets: [],
    log: silentLogger,
  };
  const backends = await Promise.all([shared("host-1"), shared("host-2"), apart].map(backendOf));
  const [a, b, other] = backends as [ConformanceBackend, ConformanceBackend, ConformanceBackend];
  const sites = ["shared", "second", "apart"].map((name) => new Site(name, join(dir, name)));
  const siteOf = (name: "default" | "second") => new Site(name, join(dir, name === "default" ? "shared" : "second"));
  const image = join(dir, "image.raw");
  const content = Buffer.alloc(4096, "an image");
  await writeFile(image, content);
  await truncate(image, IMAGE_BYTES);
  const clients = new Set<NbdClient>();
  const { clock: _clock, ids: _ids, log: _log, ...memberOptions } = shared("host-9");
  return {
    memberOptions,
    a,
    b,
    other,
    capacityGiB,
    connect(connection) {
      const client = new NbdClient(connection, LIMIT_MS);
      clients.add(client);
      return client;
    },
    image: {
      source: {
        imageId: systemIds.uuid(),
        format: "raw",
        sizeBytes: IMAGE_BYTES,
        sha256: createHash("sha256")
          .update(content)
          .update(Buffer.alloc(IMAGE_BYTES - 4096))
          .digest("hex"),
      },
      path: async () => image,
      content,
    },
    async strayData(data, bytes) {
      const reference = "found.raw";
      await mkdir(join(dir, "apart", "import"), { recursive: true });
      await writeFile(join(dir, "apart", "import", reference), data);
      await truncate(join(dir, "apart", "import", reference), bytes);
      return reference;
    },
    killArray: (name) => killAll(siteOf(name)),
    async loseDisks(name) {
      const site = siteOf(name);
      await killAll(site);
      await rename(site.directory, `${site.directory}.away`);
    },
    async findDisks(name) {
      const { directory } = siteOf(name);
      // The cluster's locks are made anew where the array has gone.
      await rm(directory, { recursive: true, force: true });
      await rename(`${directory}.away`, directory);
    },
    async leftovers() {
      const left: string[] = [];
      for (const site of sites) {
        for (const { volumeId } of await site.copies()) left.push(`volume ${site.id}/${volumeId}`);
        for (const { snapshotId } of await site.snapshots()) left.push(`snapshot ${site.id}/${snapshotId}`);
        for (const pid of await daemonsMarked(`.${site.tag}-`)) left.push(`process ${site.id}/${pid}`);
      }
      for (const name of await readdir(common.runDir)) if (name.endsWith(".sock")) left.push(`address ${name}`);
      return left;
    },
    limitMs: LIMIT_MS,
    async dispose() {
      for (const client of clients) client.close();
      for (const { driver } of backends) await driver.close();
      for (const site of sites) await killAll(site);
      await access(dir);
      await rm(dir, { recursive: true });
    },
  };
}

async function killAll(site: Site): Promise<void> {
  for (const pid of await daemonsMarked(`.${site.tag}-`)) await killForCertain(pid, systemClock);
}

async function backendOf(options: FileNbdOptions): Promise<ConformanceBackend> {
  let driver = await createFileNbdDriver(options);
  return {
    get driver() {
      return driver;
    },
    async restart() {
      await driver.close();
      driver = await createFileNbdDriver(options);
    },
  };
}
