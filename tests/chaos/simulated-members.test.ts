import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { test } from "node:test";
import { defaultFleetSettings } from "../../kernel/fleet/settings.ts";
import type { OperationTables } from "../../kernel/operations/tables.ts";
import type { Migration } from "../../kernel/store/migrate.ts";
import { openSqlite, type TestStore } from "../../kernel/store/testing/stores.ts";
import { StorageFleetWorld } from "../../services/block-storage/operations/testing/fleet-world.ts";
import type { BlockStorageTables } from "../../services/block-storage/store/tables.ts";
import { seeded } from "./support/seeded.ts";

/** Each is created, snapshotted and, but for those that stay, deleted. */
const LIVES = 120;
const STAYING = 20;
const AT_ONCE = 20;
const VERBS = ["volume.ensure", "volume.ensureAbsent", "snapshot.ensure", "snapshot.ensureAbsent"];
const MEMBERS = ["host-1", "host-2"];
/** Silence after which a member is down, and the other one is given its commands. */
const DOWN_MS = defaultFleetSettings.serviceDownTimeMs + 20_000;
const SHARED = { backend: "shared", cluster: "pileus@shared", capacityGiB: 1_000 };
/** `PILEUS_CHAOS_SEED` repeats a run. */
const SEED = Number(process.env.PILEUS_CHAOS_SEED ?? randomInt(1_000_000));

test(`${LIVES} creates, snapshots and deletes while simulated members of a cluster are killed (seed ${SEED})`, async (t) => {
  const random = seeded(SEED);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const databases: TestStore[] = [];
  const open = async (migrations: readonly Migration[]) => {
    const database = await openSqlite(migrations);
    databases.push(database);
    return database;
  };
  const world = await StorageFleetWorld.open(open, Object.fromEntries(MEMBERS.map((host) => [host, SHARED])));
  t.after(async () => {
    await world.close();
    for (const database of databases) await database.dispose();
  });
  const { store } = world.api;

  const counts = { killed: 0, diedInACall: 0, cutOff: 0, foundDown: 0 };
  let away: { turns: number; back: () => Promise<void> | void } | undefined;
  const comeBack = async () => {
    await away?.back();
    away = undefined;
  };
  /** Something happens to one member at every third turn that both are there; never to both at a time. */
  const disturb = async () => {
    if (away) {
      away.turns -= 1;
      if (away.turns <= 0) await comeBack();
      return;
    }
    const dice = random();
    if (dice > 0.3) return;
    const host = pick(MEMBERS);
    const turns = 1 + Math.floor(random() * 12);
    if (dice < 0.1) {
      counts.killed += 1;
      await world.agents.kill(host);
      away = { turns, back: () => world.agents.restart(host) };
    } else if (dice < 0.2) {
      counts.cutOff += 1;
      world.agents.partition(host);
      away = { turns, back: () => world.agents.heal(host) };
    } else {
      counts.diedInACall += 1;
      const fault = { type: "crash", when: pick(["before", "after"] as const) } as const;
      world.storage.faults.add({ host, verb: pick(VERBS), fault });
    }
    if (!away || random() > 0.15) return;
    counts.foundDown += 1;
    await world.pass(DOWN_MS);
  };
  const calm = async () => {
    await comeBack();
    world.storage.faults.clear();
    await world.toTheEnd();
  };

  const kept = { volumes: [] as string[], snapshots: [] as string[] };
  for (let done = 0; done < LIVES; done += AT_ONCE) {
    const numbers = Array.from({ length: AT_ONCE }, (_, i) => done + i);
    const volumes: string[] = [];
    for (const number of numbers) {
      const volume = { name: `volume-${number}`, size: 1 };
      volumes.push((await world.must<{ volume: { id: string } }>("POST", "/volumes", { volume })).volume.id);
    }
    await world.toTheEnd(disturb);
    const snapshots: string[] = [];
    for (const volume_id of volumes) {
      const body = { snapshot: { volume_id } };
      snapshots.push((await world.must<{ snapshot: { id: string } }>("POST", "/snapshots", body)).snapshot.id);
    }
    await world.toTheEnd(disturb);
    for (const [i, number] of numbers.entries()) {
      const [volume = "", snapshot = ""] = [volumes[i], snapshots[i]];
      if (number >= LIVES - STAYING) {
        kept.volumes.push(volume);
        kept.snapshots.push(snapshot);
      } else await world.must("DELETE", `/volumes/${volume}?cascade=True`);
    }
    await world.toTheEnd(disturb);
  }
  await calm();
  t.diagnostic(JSON.stringify(counts));

  const db = store.read.tables<BlockStorageTables & OperationTables>();
  const volumes = await db.selectFrom("volumes").select(["id", "status"]).where("deleted_at", "is", null).execute();
  assert.deepEqual(
    byId(volumes).map((row) => ({ ...row })),
    byId(kept.volumes.map((id) => ({ id, status: "available" }))),
  );
  const snapshots = db.selectFrom("volume_snapshots").select(["id", "status"]).where("deleted_at", "is", null);
  assert.deepEqual(
    byId(await snapshots.execute()).map((row) => ({ ...row })),
    byId(kept.snapshots.map((id) => ({ id, status: "available" }))),
  );
  const operations = await db.selectFrom("operations").select(["name", "state"]).execute();
  assert.deepEqual(
    Object.fromEntries(
      [...Map.groupBy(operations, ({ name, state }) => `${name} ${state}`)].map(([key, all]) => [key, all.length]),
    ),
    { "volume.create done": LIVES, "snapshot.create done": LIVES, "volume.delete done": LIVES - STAYING },
  );
  assert.deepEqual(
    world.storage.leftovers().toSorted(),
    [
      ...kept.volumes.map((id) => `volume shared/${id}`),
      ...kept.snapshots.map((id) => `snapshot shared/${id}`),
    ].toSorted(),
  );
  for (const [what, times] of Object.entries(counts)) assert.ok(times > 0, `no ${what} in this run`);
});

const byId = <T extends { id: string }>(rows: readonly T[]): T[] => rows.toSorted((a, b) => (a.id < b.id ? -1 : 1));
