import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { callWithin } from "../../agent/drivers/block-storage/file-nbd/testing/call.ts";
import { whyNoStorage } from "../../agent/drivers/block-storage/file-nbd/testing/storage-lab.ts";
import { sleep, systemClock } from "../../kernel/clock/clock.ts";
import { systemIds } from "../../kernel/ids/ids.ts";
import { until } from "./support/killable.ts";
import { seeded } from "./support/seeded.ts";
import { MEMBERS, StorageCloud } from "./support/storage-cloud.ts";
import { expectInArray, expectInDatabase, type Kept } from "./support/volumes-at-rest.ts";

/** Each is created, snapshotted and, but for those that stay, deleted with its snapshot. */
const LIVES = 120;
const STAYING = 20;
const AT_ONCE = 8;
/** One member is killed every few seconds, in turn. */
const KILL_EVERY_MS = 2_500;
const AWAY_MS = { least: 100, more: 1_500 };
const LIMIT_MS = 120_000;
const LOOK_MS = 100;
const IMAGE_BYTES = 24 * 1024 ** 2;
/** `PILEUS_CHAOS_SEED` repeats what each volume is made of and who is away how long; the processes' own timing is theirs. */
const SEED = Number(process.env.PILEUS_CHAOS_SEED ?? randomInt(1_000_000));

interface Made {
  readonly id: string;
  readonly status: string;
}

test(`${LIVES} creates, snapshots and deletes while one member is killed every few seconds (seed ${SEED})`, {
  skip: (await whyNoStorage()) ?? false,
}, async (t) => {
  const random = seeded(SEED);
  const below = (limit: number) => Math.floor(random() * limit);
  const cloud = await StorageCloud.start();
  t.after(() => cloud.dispose());
  const driver = await cloud.thirdMember();
  t.after(() => driver.close());
  t.diagnostic(`seed ${SEED}`);

  const content = Buffer.alloc(IMAGE_BYTES, systemIds.hex());
  const imageId = await publishImage(cloud, content);
  const requests: Record<string, number> = {};
  const counted = async <T>(name: string, request: Promise<T>): Promise<T> => {
    requests[name] = (requests[name] ?? 0) + 1;
    return await request;
  };
  const settled = async (kind: "volume" | "snapshot", id: string) => {
    await until(`${kind} ${id} is available`, LIMIT_MS, async () => {
      const shown = await cloud.get<Record<string, Made>>(`/volume/v3/${kind}s/${id}`);
      const status = shown[kind]?.status ?? "";
      if (!["creating", "available"].includes(status)) {
        const why = JSON.stringify(await cloud.get(`/v1/operations?resource_id=${id}`));
        assert.fail(`${kind} ${id} is ${status}: ${why}`);
      }
      return status === "available";
    });
  };
  const gone = (kind: "volume" | "snapshot", id: string) =>
    until(`${kind} ${id} is gone`, LIMIT_MS, async () => (await cloud.status(`/volume/v3/${kind}s/${id}`)) === 404);

  const kept = { volumes: [] as string[], snapshots: [] as string[], served: [] as string[] };
  const fromImage: string[] = [];
  const live = async (number: number) => {
    const image = number % 3 === 0;
    const served = number % 4 === 0;
    const stays = number >= LIVES - STAYING;
    const body = { volume: { name: `volume-${number}`, size: 1, ...(image ? { imageRef: imageId } : {}) } };
    const { volume } = await counted("volume.create", cloud.ask<{ volume: Made }>("POST", "/volume/v3/volumes", body));
    await settled("volume", volume.id);
    if (served) await driver.ensureExported(volume.id, call());
    const ofVolume = { snapshot: { volume_id: volume.id, force: true } };
    const { snapshot } = await counted(
      "snapshot.create",
      cloud.ask<{ snapshot: Made }>("POST", "/volume/v3/snapshots", ofVolume),
    );
    await settled("snapshot", snapshot.id);
    if (stays) {
      kept.volumes.push(volume.id);
      kept.snapshots.push(snapshot.id);
      if (served) kept.served.push(volume.id);
      if (image) fromImage.push(volume.id);
      return;
    }
    // Half of them take their snapshots along.
    if (number % 2 === 0) {
      await counted("snapshot.delete", cloud.ask("DELETE", `/volume/v3/snapshots/${snapshot.id}`));
      await gone("snapshot", snapshot.id);
    }
    await counted("volume.delete", cloud.ask("DELETE", `/volume/v3/volumes/${volume.id}?cascade=True`));
    await gone("volume", volume.id);
  };

  let over = false;
  let kills = 0;
  const killing = async () => {
    for (; !over; kills += 1) {
      const member = MEMBERS[kills % MEMBERS.length] ?? "";
      await cloud.kill(member);
      await sleep(systemClock, AWAY_MS.least + below(AWAY_MS.more));
      await cloud.launch(member);
      // Only one of them is away at a time.
      await cloud.untilHeard(member, systemClock.now());
      // On a busy machine both would be dead all the time else, and nothing would get done.
      await until(`${member} is heard`, LIMIT_MS, async () => over || (await cloud.hears(member)));
      for (let waited = 0; waited < KILL_EVERY_MS && !over; waited += LOOK_MS) await sleep(systemClock, LOOK_MS);
    }
  };
  const begun = systemClock.now();
  const killer = killing();
  try {
    let next = 0;
    const worker = async () => {
      while (next < LIVES) {
        next += 1;
        await live(next - 1);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
  } finally {
    over = true;
    await killer;
  }
  t.diagnostic(`${kills} kills in ${systemClock.now() - begun} ms; ${JSON.stringify(requests)}`);
  assert.ok(kills >= 3, "too few kills to prove anything");

  const expected: Kept = { ...kept, requests };
  await expectInArray(cloud.array, cloud.runDir, expected);
  for (const id of fromImage) await expectContent(join(cloud.array, "volumes", id, "disk.raw"), content);
  for (const id of kept.served) {
    const facts = await driver.ensureNotExported(id, call());
    assert.equal(facts.connection, null);
  }
  await expectInArray(cloud.array, cloud.runDir, { ...expected, served: [] });
  await cloud.stop();
  expectInDatabase(join(cloud.stateDir, "pileus.db"), expected);
});

const call = () => callWithin(LIMIT_MS);

async function publishImage(cloud: StorageCloud, content: Buffer): Promise<string> {
  const asked = { name: "content", disk_format: "raw", container_format: "bare" };
  const { id } = await cloud.ask<{ id: string }>("POST", "/image/v2/images", asked);
  await cloud.ask("PUT", `/image/v2/images/${id}/file`, content, { "content-type": "application/octet-stream" });
  return id;
}

async function expectContent(path: string, content: Buffer): Promise<void> {
  const file = await open(path);
  try {
    const { buffer } = await file.read(Buffer.alloc(content.length), 0, content.length, 0);
    assert.ok(buffer.equals(content), `${path} does not hold its image`);
  } finally {
    await file.close();
  }
}
