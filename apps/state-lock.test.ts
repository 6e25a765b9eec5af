import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { isStateInUse, lockState } from "./state-lock.ts";

for (const length of ["short", "x".repeat(150)]) {
  test(`one holder at a time, under a path of ${length.length} characters and more`, async () => {
    const dir = await mkdtemp(join(tmpdir(), "state-lock-"));
    try {
      const state = join(dir, length);
      const unlock = await lockState(state);
      assert.equal(await isStateInUse(state), true);
      await assert.rejects(lockState(state), { code: "server.state_in_use" });
      await unlock();
      assert.equal(await isStateInUse(state), false);
      await (await lockState(state))();
    } finally {
      await rm(dir, { recursive: true });
    }
  });
}
