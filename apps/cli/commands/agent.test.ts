import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { sleep, systemClock } from "../../../kernel/clock/clock.ts";
import { isStateInUse } from "../../state-lock.ts";
import { MAIN } from "../local-hosts.ts";

const LIMIT_MS = 20_000;

/** An agent that waits to join a server that is not there. */
async function agent(t: TestContext, state: string, ...flags: string[]): Promise<ChildProcess> {
  const token = join(state, "..", "token");
  await writeFile(token, "t");
  const args = ["agent", "--host", "h", "--server", "http://127.0.0.1:1", "--state", state, "--join-token-file", token];
  const env = { ...process.env, PILEUS_ADMIN_PASSWORD: "secret" };
  const child = spawn(process.execPath, [MAIN, ...args, ...flags], {
    stdio: ["pipe", "ignore", "pipe"],
    env,
  });
  t.after(() => child.kill("SIGKILL"));
  return child;
}

async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  const limit = systemClock.now() + LIMIT_MS;
  while (!(await condition())) {
    assert.ok(systemClock.now() < limit, `waited in vain until ${what}`);
    await sleep(systemClock, 50);
  }
}

test("an agent has its state folder to itself, and goes when its parent does", async (t) => {
  const dir = await mkdtemp(join(tmpdir(), "agent-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const state = join(dir, "state");
  const first = await agent(t, state, "--exit-with-parent");
  await until("the first agent holds its folder", () => isStateInUse(state));
  assert.equal((await stat(state)).mode & 0o777, 0o700);

  const second = await agent(t, state);
  let said = "";
  second.stderr?.on("data", (text: Buffer) => {
    said += text.toString();
  });
  const [code] = await once(second, "exit");
  assert.notEqual(code, 0);
  assert.match(said, /Another process uses/);

  const ended = once(first, "exit");
  first.stdin?.end();
  assert.deepEqual(await ended, [0, null]);
  assert.equal(await isStateInUse(state), false);
});
