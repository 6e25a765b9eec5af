import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { systemClock } from "../../../../kernel/clock/clock.ts";
import { systemIds } from "../../../../kernel/ids/ids.ts";
import { runCommand } from "../../../process/run-command.ts";
import { FileLocks } from "./file-locks.ts";
import { holdOften } from "./testing/lock-holder.ts";

const PROGRAM = fileURLToPath(new URL("./testing/lock-holder.ts", import.meta.url));
const limit = () => AbortSignal.timeout(60_000);

async function newFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "pl-"));
  t.after(() => rm(folder, { recursive: true }));
  return folder;
}

test("one at a time holds a lock, in one process and in several, whose first one makes it", async (t) => {
  const folder = await newFolder(t);
  const id = systemIds.uuid();
  const others = [1, 2].map(() => runCommand(process.execPath, [PROGRAM, folder, id, "300"]));
  await Promise.all([...others, holdOften(folder, id, 300), holdOften(folder, id, 300)]);
  assert.equal((await readdir(join(folder, "locks"))).length, 1);
});

test("who waits for a lock gives up with his signal", async (t) => {
  const locks = new FileLocks(await newFolder(t), { clock: systemClock });
  await locks.holding(["one"], limit(), async () => {
    const patience = AbortSignal.timeout(50);
    await assert.rejects(
      locks.holding(["one"], patience, () => assert.fail("held twice")),
      (error) => error === patience.reason,
    );
    await locks.holding(["another"], limit(), async () => {});
  });
});

test("two ids that share a lock are held by who asks for both at once", async (t) => {
  const locks = new FileLocks(await newFolder(t), { clock: systemClock });
  const id = systemIds.uuid();
  const other = `${id.slice(0, 8)}${systemIds.uuid().slice(8)}`;
  await locks.holding([other, id], limit(), async () => {
    await assert.rejects(locks.holding([other], AbortSignal.timeout(50), async () => {}));
  });
});
