import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { matrixGaps } from "./matrix-coverage.ts";

async function gaps(files: Record<string, string>): Promise<string[]> {
  const root = await mkdtemp(join(tmpdir(), "pileus-gaps-"));
  try {
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), text);
    }
    return await matrixGaps(root);
  } finally {
    await rm(root, { recursive: true });
  }
}

const imports = 'import { type Operation, operation } from "../../../kernel/operations/definition.ts";\n';
const call = 'export const x = operation<Input>("thing.make", { deadlineMs: 1 })';
const builds = imports + call;
const covers = 'import { x } from "./make-thing.ts";\nfaultMatrix(x, {});';
const file = "services/things/operations/make-thing.ts";
const matrix = "services/things/operations/make-thing.matrix.test.ts";

test("an operation with its matrix beside it is fine; tests may build what they like", async () => {
  assert.deepEqual(await gaps({ [file]: builds, [matrix]: covers, "services/things/a.test.ts": builds }), []);
  assert.deepEqual(await gaps({ "services/things/store/rows.ts": "const operation = findOperation(q, id);" }), []);
});

test("a matrix may go through a function of the service's own", async () => {
  const through =
    'import { thingMatrix } from "./testing/matrix.ts";\nthingMatrix({ of: (operations) => operations.make });';
  const helper = "services/things/operations/testing/matrix.ts";
  assert.deepEqual(await gaps({ [file]: builds, [matrix]: through, [helper]: "faultMatrix(x, {})" }), []);
  assert.match(String(await gaps({ [file]: builds, [matrix]: through, [helper]: "" })), /does not give/);
});

test("a missing or empty matrix, a second operation, a wrong place are told", async () => {
  assert.match(String(await gaps({ [file]: builds })), /has no make-thing\.matrix\.test\.ts/);
  assert.match(String(await gaps({ [file]: builds, [matrix]: "faultMatrix(other, {})" })), /does not give/);
  assert.match(String(await gaps({ [file]: `${builds}\n${call}`, [matrix]: covers })), /builds 2 operations/);
  assert.match(String(await gaps({ "services/things/http/things.ts": builds })), /outside operations/);
});
