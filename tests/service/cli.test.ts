import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { findCloud } from "../../apps/cli/cloud/cloud-access.ts";
import { CloudClient } from "../../apps/cli/cloud/cloud-client.ts";
import type { OperationBody } from "../../apps/cli/cloud/operation-body.ts";

const MAIN = fileURLToPath(new URL("../../apps/cli/main.ts", import.meta.url));

/** No command takes this long, on however busy a machine. */
const LIMIT_MS = 180_000;

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

describe("the pileus command, against a simulated cloud", () => {
  let folder: string;
  let up: ChildProcess;
  let upOutput = "";
  let address: string;

  const spawned = (args: readonly string[], limits: { timeout?: number } = {}): ChildProcess =>
    spawn(process.execPath, ["--disable-warning=ExperimentalWarning", MAIN, ...args], {
      cwd: folder,
      env: { PATH: process.env.PATH, HOME: folder },
      stdio: ["ignore", "pipe", "pipe"],
      ...limits,
    });
  const start = (...args: string[]): ChildProcess => spawned(args, { timeout: LIMIT_MS });

  const pileus = async (...args: string[]): Promise<Ended> => {
    const child = start(...args);
    let [out, err] = ["", ""];
    child.stdout?.on("data", (text) => {
      out += text;
    });
    child.stderr?.on("data", (text) => {
      err += text;
    });
    const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
    return { code, out, err };
  };

  const api = () => new CloudClient(findCloud("pileus", { env: {}, cwd: folder, home: folder }));

  const createServer = async (name: string, flavorRef: string): Promise<string> => {
    const cloud = api();
    const { images } = (await cloud.get("/image/v2/images")) as { images: { id: string }[] };
    const { networks } = (await cloud.get("/network/v2.0/networks")) as { networks: { id: string }[] };
    const server = { name, flavorRef, imageRef: images[0]?.id, networks: [{ uuid: networks[0]?.id }] };
    return ((await cloud.post("/compute/v2.1/servers", { server })) as { server: { id: string } }).server.id;
  };

  const operationsOf = async (server: string): Promise<OperationBody[]> => {
    const { code, out } = await pileus("operations", "list", "--server", server, "--json");
    assert.equal(code, 0);
    return JSON.parse(out) as OperationBody[];
  };

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "pileus-cli-"));
    // It runs for as long as all tests together take, and ends with them.
    up = spawned(["up", "--simulate", "3", "--listen", "127.0.0.1:0"]);
    address = await new Promise<string>((resolve, reject) => {
      up.stdout?.on("data", (text) => {
        upOutput += text;
        const found = /is up at (\S+) with 3 simulated hosts/.exec(upOutput)?.[1];
        if (found) resolve(found);
      });
      up.once("exit", (code) => reject(new Error(`up ended with ${code}: ${upOutput}`)));
    });
  });

  after(async () => {
    up.kill("SIGKILL");
    await rm(folder, { recursive: true, force: true });
  });

  test("what people read is no log, and secrets are theirs alone", async () => {
    assert.ok(!upOutput.includes('"level"'));
    assert.match(await readFile(join(folder, ".pileus", "server.log"), "utf8"), /server started/);
    for (const file of ["clouds.yaml", "openrc", "server.log"])
      assert.equal((await stat(join(folder, ".pileus", file))).mode & 0o077, 0, file);
  });

  test("hosts are listed, and join with a token that goes to a file", async () => {
    const listed = await pileus("hosts");
    assert.equal(listed.code, 0, listed.err);
    assert.match(listed.out, /^host-1 .* nova-compute up(;|$)/m);
    assert.match(listed.out, /^host-1 +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d {2}/m);
    const printed = await pileus("hosts", "token", "host-8");
    assert.match(printed.out, /^\S{32,}\n$/);
    assert.match(printed.err, new RegExp(`pileus agent --host host-8 --server ${address} --join-token-file FILE\n$`));
    const made = await pileus("hosts", "token", "host-9", "--out", "token");
    assert.equal(made.code, 0, made.err);
    const token = (await readFile(join(folder, "token"), "utf8")).trim();
    assert.ok(token.length >= 32 && !made.out.includes(token));
    assert.equal((await stat(join(folder, "token"))).mode & 0o777, 0o600);
  });

  test("an operation is followed to its end, and told step by step", async () => {
    const id = await createServer("web", "1");
    const [created] = await operationsOf("web");
    assert.deepEqual([created?.name, created?.resource.id], ["server.create", id]);
    const watched = await pileus("operations", "watch", created?.id ?? "");
    assert.equal(watched.code, 0, watched.err);
    assert.match(watched.out, / server\.create {2}server [0-9a-f]{8} {2}done$/m);
    const shown = await pileus("operations", "show", created?.id ?? "");
    assert.match(shown.out, /^STEP +STATE +HOST/m);
    assert.match((await pileus("operations", "list", "--state", "done", "--limit", "1")).out, /^More: add --marker /m);
  });

  test("an operation that fails says why, and the exit code of watching it is 3", async () => {
    const flavor = { name: "endless", vcpus: 1, ram: 512, disk: 1_000_000_000 };
    const made = (await api().post("/compute/v2.1/flavors", { flavor })) as { flavor: { id: string } };
    await createServer("big", made.flavor.id);
    const [created] = await operationsOf("big");
    const { code, out } = await pileus("operations", "watch", created?.id ?? "");
    assert.equal(code, 3, out);
    assert.match(out, /undone: .*host/);
    const late = await pileus("operations", "cancel", created?.id ?? "");
    assert.equal(late.code, 1, late.out);
    assert.equal(late.err, `pileus: Operation ${created?.id} is undone already; there is nothing to cancel.\n`);
    const retried = await pileus("operations", "retry", created?.id ?? "");
    assert.match(retried.err, / is undone already; there is nothing to retry\.\n$/);
  });

  test("what does not work is said in one line that helps", async () => {
    const none = await pileus("operations", "show", "11111111-1111-4111-8111-111111111111");
    assert.deepEqual(
      [none.code, none.err],
      [1, "pileus: There is no operation 11111111-1111-4111-8111-111111111111.\n"],
    );
    const stranger = await pileus("hosts", "--cloud", "pileus-demo");
    assert.deepEqual([stranger.code, stranger.err.includes("try another --cloud")], [1, true]);
    const others = await pileus("operations", "--server", "web", "--cloud", "pileus-demo");
    assert.deepEqual([others.code, others.err], [1, "pileus: There is no server 'web'.\n"]);
    const state = await pileus("operations", "list", "--state", "bogus");
    assert.deepEqual([state.code, state.err.includes("abandoned, not 'bogus'. See ")], [2, true]);
    const less = await pileus("up", "--simulate", "-1");
    assert.deepEqual([less.code, less.err.startsWith("pileus: --simulate takes ")], [2, true]);
    const second = await pileus("up", "--simulate", "1", "--listen", "127.0.0.1:0");
    assert.deepEqual([second.code, second.err.includes("already runs over")], [1, true]);
    const reset = await pileus("up", "--reset");
    assert.deepEqual([reset.code, reset.err.includes("Stop it first")], [1, true]);
    const port = new URL(address).port;
    const taken = await pileus("up", "--simulate", "1", "--state", "other", "--listen", `127.0.0.1:${port}`);
    assert.deepEqual([taken.code, taken.err.includes("another program uses that address")], [1, true]);
    const strange = await pileus("up", "--reset", "--state", ".");
    assert.deepEqual([strange.code, strange.err.includes("nothing was deleted")], [1, true]);
  });

  test("a reader that has seen enough ends it without a word", async () => {
    for (const args of [["operations"], ["--help"]]) {
      const child = start(...args);
      child.stdout?.destroy();
      let err = "";
      child.stderr?.on("data", (text) => {
        err += text;
      });
      const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
      assert.deepEqual([code, err], [141, ""], args.join(" "));
    }
  });

  test("doctor tells what is there, for people and programs", async () => {
    const { code, out } = await pileus("doctor", "--json");
    const { healthy, findings } = JSON.parse(out) as { healthy: boolean; findings: { check: string; found: string }[] };
    assert.equal(code, healthy ? 0 : 1);
    assert.match(findings.find(({ check }) => check === "state folder")?.found ?? "", /without local hosts, running/);
    assert.match((await pileus("doctor")).out, /^ok +driver: sim/m);
  });

  test("a signal ends it in good order, and reset then deletes everything", async () => {
    const ended = new Promise<number | null>((resolve) => up.once("exit", resolve));
    up.kill("SIGINT");
    assert.equal(await ended, 0);
    const gone = await pileus("hosts");
    assert.deepEqual([gone.code, gone.err.includes("Does it run?")], [1, true]);
    assert.equal((await pileus("up", "--reset")).code, 0);
    await assert.rejects(stat(join(folder, ".pileus")));
  });
});
