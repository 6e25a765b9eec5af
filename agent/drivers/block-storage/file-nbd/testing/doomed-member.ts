import { systemClock } from "../../../../../kernel/clock/clock.ts";
import { systemIds } from "../../../../../kernel/ids/ids.ts";
import { silentLogger } from "../../../../../kernel/log/logger.ts";
import type { Call } from "../../../../runtime/call.ts";
import type { BlockStorageDriver } from "../../driver.ts";
import { createFileNbdDriver } from "../driver.ts";
import type { FileNbdOptions } from "../options.ts";

export interface LifeOfVolume {
  volumeId: string;
  copyId: string;
  snapshotId: string;
}

/** What a volume goes through, act by act; each may be repeated by anybody. */
export function actsOf(driver: BlockStorageDriver, life: LifeOfVolume, call: Call): [string, () => Promise<unknown>][] {
  const { volumeId, copyId, snapshotId } = life;
  const empty = { volumeId, sizeGiB: 1, source: { kind: "empty" }, replicated: true } as const;
  const copy = { ...empty, volumeId: copyId, source: { kind: "snapshot", snapshotId } } as const;
  return [
    ["ensure", () => driver.ensure(empty, call)],
    ["export", () => driver.ensureExported(volumeId, call)],
    ["size", () => driver.ensureSize(volumeId, 2, call)],
    ["snapshot", () => driver.ensureSnapshot(snapshotId, volumeId, call)],
    ["copy", () => driver.ensure({ ...copy, sizeGiB: 2 }, call)],
    ["failover", async () => driver.replication?.failover("second", call)],
    ["failback", async () => driver.replication?.failover("default", call)],
    ["unexport", () => driver.ensureNotExported(volumeId, call)],
  ];
}

/** The program of a member that is killed in the middle: says the name of each act before it begins. */
if (process.argv[2] !== undefined) {
  const given = JSON.parse(process.argv[2]) as Omit<FileNbdOptions, "clock" | "ids" | "log"> & { life: LifeOfVolume };
  const driver = await createFileNbdDriver({ ...given, clock: systemClock, ids: systemIds, log: silentLogger });
  const call: Call = {
    key: "doomed",
    epoch: 1,
    deadline: new Date(systemClock.now() + 60_000),
    signal: AbortSignal.timeout(60_000),
    log: silentLogger,
    progress: () => {},
    image: () => Promise.reject(new Error("no images")),
  };
  for (const [name, act] of actsOf(driver, given.life, call)) {
    process.stdout.write(`${name}\n`);
    await act();
  }
}
