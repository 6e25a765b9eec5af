import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdir, readFile, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { CloudError } from "../../kernel/errors/cloud-error.ts";
import { systemIds } from "../../kernel/ids/ids.ts";
import { onBothStores } from "../../kernel/store/testing/stores.ts";
import { PublicImages } from "./public-images.ts";
import { ensureGuestImages } from "./seed.ts";
import { deleteImageRow, findImage, transition } from "./store/images.ts";
import { sweepImages } from "./sweep.ts";
import { imageWorld, qcow2Header } from "./testing/image-world.ts";
import { STALLED_MS, uploadImage } from "./uploads.ts";

const fails = (code: string) => (error: unknown) => error instanceof CloudError && error.code === code;

async function* pieces(...parts: (string | Buffer | Error)[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) {
    if (part instanceof Error) throw part;
    yield Buffer.from(part);
  }
}

onBothStores("image uploads", (open) => {
  test("data is kept with its sums and given to agents", async () => {
    const world = await imageWorld(open);
    const image = await world.given({ name: "disk" });
    const { id } = image.row;
    await uploadImage(world.context, image, pieces("hello ", "world"));
    const row = (await findImage(world.context.store.read, id))?.row;
    const sum = (name: string) => createHash(name).update("hello world").digest("hex");
    assert.deepEqual(
      [row?.status, row?.size_bytes, row?.virtual_size_bytes, row?.md5, row?.sha256, row?.sha512, row?.upload_id],
      ["active", 11, 11, sum("md5"), sum("sha256"), sum("sha512"), null],
    );
    const images = new PublicImages(world.context);
    const source = { imageId: id, format: "raw", sizeBytes: 11, sha256: sum("sha256") };
    assert.deepEqual(await images.imageSource(world.context.store.read, id), source);
    assert.equal((await Array.fromAsync(await images.openData(id))).join(""), "hello world");
    await assert.rejects(uploadImage(world.context, image, pieces("again")), fails("image.wrong_status"));
    assert.deepEqual(await readdir(world.dir), [id]);
    await world.dispose();
  });

  test("an upload that breaks off leaves a queued image and no file", async () => {
    const world = await imageWorld(open);
    const image = await world.given({});
    await assert.rejects(uploadImage(world.context, image, pieces("half", new Error("gone"))), /gone/);
    await assert.rejects(uploadImage(world.context, image, pieces(Buffer.alloc(1_000_001))), fails("image.too_large"));
    assert.equal((await findImage(world.context.store.read, image.row.id))?.row.status, "queued");
    assert.deepEqual(await readdir(world.dir), []);
    await uploadImage(world.context, image, pieces("whole"));
    assert.equal((await findImage(world.context.store.read, image.row.id))?.row.status, "active");
    await world.dispose();
  });

  test("qcow2 that reaches for other files, or is none, is refused", async () => {
    const world = await imageWorld(open);
    const image = await world.given({ diskFormat: "qcow2" });
    const refused = [
      { code: "image.refers_to_file", data: qcow2Header(1, { backingFileAt: 512 }) },
      { code: "image.refers_to_file", data: qcow2Header(1, { incompatible: 4n }) },
      { code: "image.format_mismatch", data: Buffer.from("not a disk") },
      { code: "image.format_mismatch", data: Buffer.alloc(200) },
    ];
    for (const { code, data } of refused) {
      await assert.rejects(uploadImage(world.context, image, pieces(data)), fails(code));
    }
    await uploadImage(world.context, image, pieces(qcow2Header(5 * 2 ** 30)));
    assert.equal((await findImage(world.context.store.read, image.row.id))?.row.virtual_size_bytes, 5 * 2 ** 30);
    await world.dispose();
  });

  test("an image deleted while its data arrives leaves nothing", async () => {
    const world = await imageWorld(open);
    const image = await world.given({});
    async function* data() {
      yield Buffer.from("x");
      await world.context.store.tx((t) => deleteImageRow(t, image.row.id));
    }
    await assert.rejects(uploadImage(world.context, image, data()), fails("image.not_found"));
    assert.deepEqual(await readdir(world.dir), []);
    await world.dispose();
  });

  test("the sweep ends dead uploads and removes what nobody owns", async () => {
    const world = await imageWorld(open);
    const kept = await world.given({});
    await uploadImage(world.context, kept, pieces("kept"));
    const dead = await world.given({});
    const uploadId = systemIds.uuid();
    await world.context.store.tx(async (t) => {
      const set = { upload_id: uploadId, upload_seen_at: world.clock.now() };
      await transition(t, dead.row.id, { from: "queued", to: "saving", set });
    });
    const orphans = [systemIds.uuid(), `${systemIds.uuid()}.partial`];
    for (const name of [...orphans, `${uploadId}.partial`]) await writeFile(join(world.dir, name), "x");
    for (const name of await readdir(world.dir)) await utimes(join(world.dir, name), 0, 0);
    await writeFile(join(world.dir, "notes.txt"), "not ours");
    await sweepImages(world.context);
    assert.equal((await findImage(world.context.store.read, dead.row.id))?.row.status, "saving");
    assert.deepEqual((await readdir(world.dir)).sort(), [kept.row.id, "notes.txt", `${uploadId}.partial`].sort());
    world.clock.advance(STALLED_MS + 1);
    await sweepImages(world.context);
    assert.equal((await findImage(world.context.store.read, dead.row.id))?.row.status, "queued");
    assert.deepEqual((await readdir(world.dir)).sort(), [kept.row.id, "notes.txt"].sort());
    await world.dispose();
  });

  test("a guest's files become public images once", async () => {
    const world = await imageWorld(open);
    const path = (name: string) => join(world.dir, name);
    await writeFile(path("vmlinuz"), "kernel");
    await writeFile(path("initrd.gz"), "ramdisk");
    await writeFile(path("root.qcow2"), qcow2Header(2 ** 20));
    const files = { kernel: path("vmlinuz"), ramdisk: path("initrd.gz"), root: path("root.qcow2") };
    const guest = { ownerProjectId: "admin", name: "guest", ...files };
    const first = await ensureGuestImages(world.context, guest);
    assert.deepEqual(await ensureGuestImages(world.context, guest), first);
    const images = new PublicImages(world.context);
    const viewer = { projectId: "other", isAdmin: false };
    const kernel = await images.find(world.context.store.read, first.properties.kernel_id ?? "", viewer);
    assert.deepEqual([kernel?.name, kernel?.diskFormat], ["guest-kernel", "aki"]);
    assert.equal(await readFile(join(world.dir, kernel?.id ?? ""), "utf8"), "kernel");
    await world.dispose();
  });
});
