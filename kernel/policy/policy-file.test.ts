import assert from "node:assert/strict";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "../clock/clock.ts";
import { ManualClock } from "../clock/manual-clock.ts";
import { policyFileOnDisk } from "./policy-file.ts";

function temporaryFile() {
  const folder = mkdtempSync(join(tmpdir(), "pileus-policy-"));
  return { path: join(folder, "policy.yaml"), [Symbol.dispose]: () => rmSync(folder, { recursive: true }) };
}

test("changes on disk are noticed by looking, once they have settled", () => {
  using file = temporaryFile();
  const clock = new ManualClock();
  const source = policyFileOnDisk(file.path, clock, { pollMs: 1000, settleMs: 100 });
  assert.equal(source.read(), null);
  let changes = 0;
  const watching = source.watch(() => (changes += 1));
  writeFileSync(file.path, "half");
  clock.advance(1050);
  assert.equal(changes, 0);
  writeFileSync(file.path, "half and half");
  clock.advance(100);
  assert.equal(changes, 0);
  clock.advance(100);
  assert.equal(changes, 1);
  assert.equal(source.read(), "half and half");
  clock.advance(5000);
  assert.equal(changes, 1);
  rmSync(file.path);
  clock.advance(1100);
  assert.equal(changes, 2);
  watching.close();
  assert.equal(clock.pendingTimers, 0);
});

test("a replaced file is noticed by the kernel's events", { timeout: 10_000 }, async () => {
  using file = temporaryFile();
  writeFileSync(file.path, "old");
  const source = policyFileOnDisk(file.path, systemClock, { pollMs: 3_600_000, settleMs: 20 });
  const changed = new Promise<void>((resolve) => {
    const watching = source.watch(() => {
      watching.close();
      resolve();
    });
  });
  writeFileSync(`${file.path}.new`, "new");
  renameSync(`${file.path}.new`, file.path);
  await changed;
  assert.equal(source.read(), "new");
});
