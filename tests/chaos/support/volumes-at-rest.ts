import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { daemonsMarked } from "../../../agent/drivers/block-storage/file-nbd/process-identity.ts";
import type { CopyRecord, SnapshotRecord } from "../../../agent/drivers/block-storage/file-nbd/records.ts";
import { Site } from "../../../agent/drivers/block-storage/file-nbd/site.ts";

/** What is to be there, by ids, and nothing else. */
export interface Kept {
  readonly volumes: readonly string[];
  readonly snapshots: readonly string[];
  /** Those of the volumes that are served. */
  readonly served: readonly string[];
  /** How many requests of each kind were accepted. */
  readonly requests: Readonly<Record<string, number>>;
}

/** Demands of the database of a server that has ended that it knows these, available, and that every operation has ended well. */
export function expectInDatabase(file: string, kept: Kept): void {
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    const all = <T>(statement: string) => database.prepare(statement).all() as T[];
    const volumes = all<{ id: string; status: string }>("SELECT id, status FROM volumes WHERE deleted_at IS NULL");
    assert.deepEqual(lines(volumes), lines(kept.volumes.map((id) => ({ id, status: "available" }))), "volumes");
    const snapshots = all<{ id: string; status: string }>(
      "SELECT id, status FROM volume_snapshots WHERE deleted_at IS NULL",
    );
    assert.deepEqual(lines(snapshots), lines(kept.snapshots.map((id) => ({ id, status: "available" }))), "snapshots");
    const operations = all<{ name: string; state: string; times: number }>(
      "SELECT name, state, count(*) AS times FROM operations GROUP BY name, state",
    );
    const wanted = Object.entries(kept.requests).map(([name, times]) => ({ name, state: "done", times }));
    assert.deepEqual(lines(operations), lines(wanted), "one operation for each request, all done");
    assert.deepEqual(all("SELECT key, state FROM commands WHERE state = 'queued'"), [], "commands");
  } finally {
    database.close();
  }
}

/** Demands that the array holds these, whole, and that daemons serve those that are served. */
export async function expectInArray(directory: string, runDir: string, kept: Kept): Promise<void> {
  const site = new Site("default", directory);
  const copies = await recordsIn<CopyRecord>(join(directory, "volumes"), kept.volumes);
  for (const { volumeId, state, exported } of copies)
    assert.deepEqual([state, exported], ["ready", kept.served.includes(volumeId)], `volume ${volumeId}`);
  for (const { snapshotId, state } of await recordsIn<SnapshotRecord>(join(directory, "snapshots"), kept.snapshots))
    assert.equal(state, "ready", `snapshot ${snapshotId}`);

  const daemons = await Promise.all(kept.volumes.map((id) => daemonsMarked(`${id}.${site.tag}-`)));
  const serving = kept.volumes.filter((_, i) => daemons[i]?.length === 1);
  assert.deepEqual(serving.toSorted(), kept.served.toSorted(), "one daemon for each volume that is served");
  assert.equal((await daemonsMarked(`.${site.tag}-`)).length, kept.served.length, "daemons of nobody");
  const ofServed = (name: string) => kept.served.some((id) => name.startsWith(id));
  assert.deepEqual(
    (await readdir(runDir)).filter((name) => !ofServed(name)),
    [],
    "sockets of nobody",
  );
}

/** Every folder has its record and its data, nothing half made. */
async function recordsIn<T>(folder: string, ids: readonly string[]): Promise<T[]> {
  assert.deepEqual((await readdir(folder)).toSorted(), ids.toSorted(), folder);
  return await Promise.all(
    ids.map(async (id) => {
      assert.deepEqual((await readdir(join(folder, id))).toSorted(), ["disk.raw", "record.json"], join(folder, id));
      return JSON.parse(await readFile(join(folder, id, "record.json"), "utf8")) as T;
    }),
  );
}

const lines = (list: readonly unknown[]): string[] => list.map((one) => JSON.stringify(one)).toSorted();
