import assert from "node:assert/strict";
import { test } from "node:test";
import { parseOptions } from "./options.ts";
import { planStages, STAGES, shards } from "./stages.ts";

const FILES = [
  "agent/drivers/compute/qemu/qemu.real.test.ts",
  "kernel/policy/policy.test.ts",
  "kernel/store/store.test.ts",
  "tests/arch/imports.test.ts",
  "tests/contract/servers.real.test.ts",
  "tests/contract/servers.test.ts",
];

const names = (only: string[], paths: string[] = []) =>
  planStages(FILES, parseOptions([...only.flatMap((name) => ["--only", name]), ...paths])).map(({ stage, files }) =>
    [stage.name, files.length].join(" "),
  );

test("stages run in order, those without files not at all", () => {
  assert.deepEqual(names([]), ["types 0", "lint 0", "unit 2", "arch 1", "real 2", "contract 1"]);
});

test("stages can be chosen, in one option or several", () => {
  assert.deepEqual(names(["arch", "unit"]), ["unit 2", "arch 1"]);
  assert.deepEqual(names(["types,real"]), ["types 0", "real 2"]);
  assert.throws(() => parseOptions(["--only", "units"]), /there is no stage 'units'/);
  assert.throws(() => parseOptions(["--frobnicate"]), /--frobnicate/);
});

test("files and folders choose their tests, and leave the checks of all source out", () => {
  assert.deepEqual(names([], ["kernel/policy"]), ["unit 1"]);
  assert.deepEqual(names([], ["./tests/contract/", "kernel/store/store.test.ts"]), ["unit 1", "real 1", "contract 1"]);
  assert.deepEqual(names(["lint"], ["kernel"]), ["lint 0"]);
  assert.throws(() => names([], ["kernel/pol"]), /no test file is, or is in, kernel\/pol/);
});

test("every test file belongs to exactly one stage", () => {
  const takers = (path: string) => STAGES.filter((stage) => stage.takes?.(path)).map(({ name }) => name);
  for (const path of FILES) assert.equal(takers(path).length, 1, path);
  assert.deepEqual(takers("tests/chaos/kill.test.ts"), ["chaos"]);
  assert.deepEqual(takers("tests/browser/console.test.ts"), ["browser"]);
  assert.deepEqual(takers("tests/service/compute.test.ts"), ["service"]);
  assert.deepEqual(takers("apps/cli/machine.test.ts"), ["unit"]);
});

test("shards hold every file once and weigh about the same", () => {
  const files = [8, 1, 1, 1, 1, 1, 1, 1, 1].map((weight, n) => ({ path: `f${n}`, weight }));
  const parts = shards(files, 2);
  assert.deepEqual(parts.map((part) => part.length).toSorted(), [1, 8]);
  assert.deepEqual(
    parts.flat().toSorted(),
    files.map(({ path }) => path),
  );
  assert.deepEqual(shards([{ path: "only", weight: 1 }], 4), [["only"]]);
});
