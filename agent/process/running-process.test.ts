import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { systemClock } from "../../kernel/clock/clock.ts";
import { killForCertain } from "./running-process.ts";

/** Memory to give back, so that a process takes a while to exit. */
const BALLAST = "const b = Buffer.alloc(150e6, 1); process.stdout.write(String(b.length)); setInterval(() => {}, 1e6);";

test("a process that was killed for certain holds nothing any more, not even for a moment", async () => {
  for (let round = 0; round < 5; round += 1) {
    const child = spawn(process.execPath, ["-e", BALLAST], { stdio: ["ignore", "pipe", "ignore"] });
    const ended = once(child, "exit");
    await once(child.stdout, "data");
    const pid = child.pid ?? assert.fail();
    await killForCertain(pid, systemClock);
    const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
    assert.ok(stat === "" || / Z /.test(stat), stat);
    await ended;
  }
});
