import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { systemClock } from "../../../../kernel/clock/clock.ts";
import { ManualClock } from "../../../../kernel/clock/manual-clock.ts";
import { BootSlots } from "./boot-slots.ts";

const MODULES = {
  slots: fileURLToPath(new URL("./boot-slots.ts", import.meta.url)),
  clock: fileURLToPath(new URL("../../../../kernel/clock/clock.ts", import.meta.url)),
};

test("two boot at a time; a slot is free when given back, however long it was held", async () => {
  const dir = await mkdtemp(join(tmpdir(), "boot-slots-"));
  try {
    const clock = new ManualClock();
    const signal = AbortSignal.timeout(20_000);
    // Two processes look at the same folder.
    const [one, other] = [new BootSlots(dir, clock), new BootSlots(dir, clock)];
    const [first] = [await one.take(signal), await other.take(signal)];
    let taken = 0;
    const waiting = other.take(signal).then((give) => {
      taken += 1;
      return give;
    });
    for (let minute = 0; minute < 3; minute += 1) {
      clock.advance(60_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(taken, 0, "a long boot keeps its slot");
    await first();
    await first();
    while (taken === 0) {
      signal.throwIfAborted();
      clock.advance(100);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await (await waiting)();
  } finally {
    await rm(dir, { recursive: true });
  }
});

test("what a killed process held is free at once", async () => {
  const dir = await mkdtemp(join(tmpdir(), "boot-slots-"));
  const script = `
    const { BootSlots } = await import(${JSON.stringify(MODULES.slots)});
    const { systemClock } = await import(${JSON.stringify(MODULES.clock)});
    const slots = new BootSlots(process.argv[1], systemClock);
    globalThis.held = [];
    for (let i = 0; i < 2; i += 1) held.push(await slots.take(AbortSignal.timeout(10_000)));
    process.stdout.write("held");
    process.stdin.resume();`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script, dir], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  try {
    assert.equal(String((await once(child.stdout, "data"))[0]), "held");
    const slots = new BootSlots(dir, systemClock);
    await assert.rejects(slots.take(AbortSignal.timeout(300)));
    child.kill("SIGKILL");
    await once(child, "exit");
    await (await slots.take(AbortSignal.timeout(10_000)))();
  } finally {
    child.kill("SIGKILL");
    await rm(dir, { recursive: true });
  }
});
