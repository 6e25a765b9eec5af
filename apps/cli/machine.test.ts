import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { localMachine } from "./machine.ts";

function temporaryFolder() {
  const path = mkdtempSync(join(tmpdir(), "pileus-machine-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true }) };
}

test("commands are found on the PATH, files by their path", () => {
  using folder = temporaryFolder();
  const tool = join(folder.path, "some-tool");
  writeFileSync(tool, "");
  const machine = localMachine({ PATH: folder.path });
  assert.deepEqual([machine.has("some-tool"), machine.has(tool)], [true, true]);
  assert.deepEqual([machine.has("other-tool"), machine.has(`${tool}.py`)], [false, false]);
});

test("a command's output and exit code come back, and apt is kept from asking", async () => {
  const script = "process.stdout.write(process.env.DEBIAN_FRONTEND); process.stderr.write('!'); process.exit(3)";
  assert.deepEqual(await localMachine({}).run([process.execPath, "-e", script]), {
    code: 3,
    output: "noninteractive!",
  });
});

test("services may not start during the act, and may again afterwards, also when it fails", async () => {
  using folder = temporaryFolder();
  const policyFile = join(folder.path, "policy-rc.d");
  const machine = localMachine({}, { policyFile });
  const during = await machine.withoutServiceStarts(() =>
    Promise.resolve(spawnSync(policyFile, ["x", "start"]).status),
  );
  assert.deepEqual([during, existsSync(policyFile)], [101, false]);
  await assert.rejects(
    machine.withoutServiceStarts(() => Promise.reject(new Error("apt"))),
    /apt/,
  );
  assert.equal(existsSync(policyFile), false);
});

test("a policy left behind by a killed process forbids nothing and is replaced", async () => {
  using folder = temporaryFolder();
  const policyFile = join(folder.path, "policy-rc.d");
  const program = `
    import { localMachine } from ${JSON.stringify(join(import.meta.dirname, "machine.ts"))};
    await localMachine({}, { policyFile: ${JSON.stringify(policyFile)} }).withoutServiceStarts(async () => process.kill(process.pid, "SIGKILL"));`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program]);
  await new Promise((resolve) => child.once("close", resolve));
  assert.equal(spawnSync(policyFile, ["x", "start"]).status, 0);
  const machine = localMachine({}, { policyFile });
  assert.equal(await machine.withoutServiceStarts(() => Promise.resolve(spawnSync(policyFile).status)), 101);
  assert.equal(existsSync(policyFile), false);
});

test("an administrator's own policy stands", async () => {
  using folder = temporaryFolder();
  const policyFile = join(folder.path, "policy-rc.d");
  writeFileSync(policyFile, "#!/bin/sh\nexit 104\n", { mode: 0o755 });
  const machine = localMachine({}, { policyFile });
  assert.equal(await machine.withoutServiceStarts(() => Promise.resolve(spawnSync(policyFile).status)), 104);
  assert.equal(readFileSync(policyFile, "utf8"), "#!/bin/sh\nexit 104\n");
});
