import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { CloudError } from "../../kernel/errors/cloud-error.ts";
import { ImageCache } from "./image-cache.ts";

const bytes = Buffer.from("a very small image");
const wanted = {
  imageId: "00000000-0000-4000-8000-00000000000a",
  sizeBytes: bytes.length,
  sha256: createHash("sha256").update(bytes).digest("hex"),
};
const never = new AbortController().signal;

function setUp(t: TestContext, content: Buffer = bytes) {
  const dir = mkdtempSync(join(tmpdir(), "images-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const gate = Promise.withResolvers<void>();
  const counts = { fetches: 0, aborted: 0 };
  const make = () =>
    new ImageCache({
      dir,
      async fetchImage(_id, signal) {
        counts.fetches += 1;
        signal.addEventListener("abort", () => {
          counts.aborted += 1;
        });
        return (async function* () {
          yield content.subarray(0, 5);
          await gate.promise;
          yield content.subarray(5);
        })();
      },
    });
  return { dir, gate, counts, make };
}

test("concurrent callers share one download; a later process trusts the checked file", async (t) => {
  const { dir, gate, counts, make } = setUp(t);
  const cache = make();
  const both = Promise.all([cache.path(wanted, never), cache.path(wanted, never)]);
  gate.resolve();
  const [first, second] = await both;
  assert.equal(first, second);
  assert.deepEqual(readFileSync(first), bytes);
  assert.equal(await cache.path(wanted, never), first);
  assert.equal(await make().path(wanted, never), first);
  assert.equal(counts.fetches, 1);
  assert.deepEqual(readdirSync(dir), [wanted.imageId]);
});

test("damaged bytes get no name, and a damaged or partial file is replaced", async (t) => {
  const broken = setUp(t, Buffer.from("a very smell image"));
  broken.gate.resolve();
  await assert.rejects(
    broken.make().path(wanted, never),
    (error) => error instanceof CloudError && error.code === "agent.image_corrupt",
  );
  assert.deepEqual(readdirSync(broken.dir), []);

  const good = setUp(t);
  good.gate.resolve();
  writeFileSync(join(good.dir, wanted.imageId), "a very smell image");
  writeFileSync(join(good.dir, `${wanted.imageId}.7.partial`), "a ve");
  assert.deepEqual(readFileSync(await good.make().path(wanted, never)), bytes);
  assert.deepEqual(readdirSync(good.dir), [wanted.imageId]);
});

test("one caller giving up does not disturb the other; the last one ends the download", async (t) => {
  const { gate, counts, make } = setUp(t);
  const cache = make();
  const [one, two] = [new AbortController(), new AbortController()];
  const first = cache.path(wanted, one.signal);
  const second = cache.path(wanted, two.signal);
  one.abort(new Error("gave up"));
  await assert.rejects(first, /gave up/);
  assert.equal(counts.aborted, 0);
  gate.resolve();
  assert.ok(await second);

  const other = setUp(t);
  const abandoned = new AbortController();
  const path = other.make().path(wanted, abandoned.signal);
  while (other.counts.fetches === 0) await new Promise((resolve) => setImmediate(resolve));
  abandoned.abort(new Error("gave up"));
  await assert.rejects(path, /gave up/);
  assert.equal(other.counts.aborted, 1);
  other.gate.resolve();
  while (readdirSync(other.dir).length > 0) await new Promise((resolve) => setImmediate(resolve));
});

test("an id that is no id touches no disk", async (t) => {
  const { counts, make } = setUp(t);
  await assert.rejects(make().path({ ...wanted, imageId: "../../etc/passwd" }, never));
  assert.equal(counts.fetches, 0);
});
