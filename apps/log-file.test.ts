import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { LogFile } from "./log-file.ts";

test("a log begins anew when it is large, and the one before it is kept", () => {
  const dir = mkdtempSync(join(tmpdir(), "pileus-log-"));
  try {
    const path = join(dir, "agent.log");
    const read = (name: string) => readFileSync(join(dir, name), "utf8");
    writeFileSync(path, "of an earlier start\n");
    const log = new LogFile(path, 30);
    log.write("one\n");
    log.write(Buffer.from("a second one\n"));
    assert.equal(read("agent.log"), "of an earlier start\none\na second one\n");
    log.write("three\n");
    assert.equal(read("agent.log.1"), "of an earlier start\none\na second one\n");
    assert.equal(read("agent.log"), "three\n");
    log.write(`${"x".repeat(30)}\n`);
    log.write("five\n");
    log.close();
    assert.equal(read("agent.log"), "five\n");
    assert.deepEqual(readdirSync(dir).toSorted(), ["agent.log", "agent.log.1"]);
    assert.equal(statSync(path).mode & 0o777, 0o600);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
