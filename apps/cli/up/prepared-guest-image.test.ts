import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { runCommand } from "../../../agent/process/run-command.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { preparedGuestImage } from "./prepared-guest-image.ts";

const never = new Promise<void>(() => {});

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "guest-image-"));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

/** A build that is this shell script. */
const building = (script: string) => async (signal: AbortSignal) => {
  await runCommand("sh", ["-c", script], { signal });
  return { name: "guest", kernel: "", ramdisk: "", root: "" };
};

test("a stop while the image is made ends the helper, and is no failure", async (t) => {
  const stateDir = await folder(t);
  const stopped = Promise.resolve();
  assert.equal(await preparedGuestImage({ stateDir, stopped, build: building("exec sleep 60") }), null);
});

test("so is a stop that reaches the helper first", async (t) => {
  const stateDir = await folder(t);
  const stop = Promise.withResolvers<void>();
  const build = (signal: AbortSignal) => building("kill -TERM $$")(signal).finally(() => setImmediate(stop.resolve));
  assert.equal(await preparedGuestImage({ stateDir, stopped: stop.promise, build }), null);
});

test("a helper that fails by itself is named, and what it said is in a log", async (t) => {
  const stateDir = await folder(t);
  const preparing = preparedGuestImage({ stateDir, stopped: never, build: building("echo no mirror >&2; exit 100") });
  await assert.rejects(preparing, (error) => {
    assert.ok(error instanceof CloudError);
    assert.equal(
      error.message,
      `The guest image cannot be made: sh failed. What it said is in ${join(stateDir, "guest-image.log")}.`,
    );
    return true;
  });
  assert.match(await readFile(join(stateDir, "guest-image.log"), "utf8"), /^exit 100: no mirror /);
});

test("an image that is made is handed on", async (t) => {
  const image = await preparedGuestImage({ stateDir: await folder(t), stopped: never, build: building("true") });
  assert.equal(image?.name, "guest");
});
