import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Children } from "./child.ts";
import { runStage } from "./run-stage.ts";
import { planStages, STAGES } from "./stages.ts";

async function runUnit(files: Record<string, string>) {
  const root = mkdtempSync(join(tmpdir(), "pileus-stage-"));
  try {
    mkdirSync(join(root, "kernel"));
    for (const [name, text] of Object.entries(files))
      writeFileSync(join(root, name), `import { test } from "node:test";\n${text}`);
    const [planned] = planStages(Object.keys(files), { only: [], paths: ["kernel"] });
    assert.ok(planned);
    let said = "";
    const say = (line: string) => (said += line);
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const context = { root, children: new Children(), env, runFolder: root, verbose: false, say };
    return { ...(await runStage(planned, context)), said };
  } finally {
    rmSync(root, { recursive: true });
  }
}

test("counts of all processes are added up", async () => {
  const { said: _, ...end } = await runUnit({
    "kernel/a.test.ts": `test("a", () => {}); test.skip("b", () => {});`,
    "kernel/b.test.ts": `test("c", () => {});`,
  });
  const counts = { tests: 3, pass: 2, fail: 0, cancelled: 0, skipped: 1, todo: 0 };
  assert.deepEqual(end, { passed: true, counts });
});

test("a failing test fails the stage and is shown", async () => {
  const { passed, counts, said } = await runUnit({
    "kernel/a.test.ts": `test("a", () => {});`,
    "kernel/b.test.ts": `test("broken thing", () => { throw new Error("the reason"); });`,
  });
  assert.deepEqual([passed, counts?.fail, counts?.pass], [false, 1, 1]);
  assert.match(said, /broken thing[\s\S]*the reason/);
});

test("a file that dies fails the stage even without a failing test", async () => {
  const died = await runUnit({
    "kernel/a.test.ts": `test("a", () => {});`,
    "kernel/b.test.ts": `test("b", () => process.exit(0));`,
  });
  assert.deepEqual([died.passed, died.note], [false, "a test process ended before its tests"]);
});

test("each stage leaves its tests less time than itself", () => {
  for (const stage of STAGES) assert.ok(stage.testMinutes <= stage.stageMinutes, stage.name);
});
