import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Children } from "./child.ts";
import { findLeaks, testNamespaces } from "./leaks.ts";

function temporaryFolder() {
  const path = mkdtempSync(join(tmpdir(), "plt-leaks-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true }) };
}

const leaksOf = (folder: string, patienceMs?: number) =>
  findLeaks({ runFolder: folder, temporary: folder, namespacesBefore: testNamespaces() }, patienceMs);

test("output and exit code of a child", async () => {
  const script = "process.stdin.pipe(process.stdout); process.stderr.write('!'); process.exitCode = 4";
  const options = { env: process.env, show: false, stdin: "text" };
  const { code, output, timedOut } = await new Children().run([process.execPath, "-e", script], options);
  assert.deepEqual([code, [...output].toSorted().join(""), timedOut], [4, "!ettx", false]);
  await assert.rejects(new Children().run(["/no/such/program"], options), /ENOENT/);
});

test("a child that overstays is ended with its own children, even when they ignore it", async () => {
  using folder = temporaryFolder();
  const stubborn = `process.on("SIGTERM", () => {}); setInterval(() => {}, 1000);`;
  const parent = `require("node:child_process").spawn(process.execPath, ["-e", ${JSON.stringify(stubborn)}, "${folder.path}"]); ${stubborn}`;
  const children = new Children({ graceMs: 100 });
  const end = await children.run([process.execPath, "-e", parent], { env: process.env, show: false, limitMs: 300 });
  assert.deepEqual([end.timedOut, end.code], [true, 1]);
  assert.deepEqual(await leaksOf(folder.path), []);
});

test("a process and a folder left behind are found, and named", async () => {
  using folder = temporaryFolder();
  const left = mkdtempSync(join(folder.path, "pileus-x-"));
  const children = new Children({ graceMs: 100 });
  const child = children.start(process.execPath, ["-e", "setInterval(() => {}, 1000)", folder.path], {
    stdio: "ignore",
  });
  assert.deepEqual(await leaksOf(folder.path, 0), [
    `process ${child.pid}: ${process.execPath} -e setInterval(() => {}, 1000) ${folder.path}`,
    left,
  ]);
  await children.endAll();
  assert.deepEqual(await leaksOf(folder.path, 0), [left]);
});
