import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

const LAUNCHER = join(import.meta.dirname, "..", "bin");
const RUNTIME = `node-${process.platform}-${process.arch}`;

const LOCK = {
  packages: {
    "": { name: "pileus" },
    [`node_modules/${RUNTIME}`]: { version: "26.0.0", integrity: "sha512-a", optional: true },
    "node_modules/node-plan9-x64": { version: "26.0.0", integrity: "sha512-b", optional: true },
    "node_modules/library": { version: "1.0.0", integrity: "sha512-c" },
    "node_modules/tool": { version: "1.0.0", integrity: "sha512-d", dev: true },
  },
};

/** A repository with the launcher, a program, and an `npm` that "installs" by linking the running Node as the pinned one. */
class Fixture {
  readonly root = mkdtempSync(join(tmpdir(), "pileus-launcher-"));
  readonly npmCalls = join(this.root, "npm-calls");

  constructor(program: string, { npm = "" }: { npm?: string } = {}) {
    cpSync(LAUNCHER, join(this.root, "bin"), { recursive: true });
    mkdirSync(join(this.root, "apps/cli"), { recursive: true });
    mkdirSync(join(this.root, "path"));
    writeFileSync(join(this.root, "apps/cli/main.ts"), program);
    this.writeLock(LOCK);
    const install = `rm -rf node_modules; mkdir -p node_modules/library node_modules/tool node_modules/${RUNTIME}/bin
      ln -s '${process.execPath}' node_modules/${RUNTIME}/bin/node; cp package-lock.json node_modules/.package-lock.json`;
    this.addCommand("npm", `echo "$@" >> '${this.npmCalls}'\n${npm || install}`);
  }

  writeLock(lock: object): void {
    writeFileSync(join(this.root, "package-lock.json"), JSON.stringify(lock));
  }

  npmRuns(): number {
    return existsSync(this.npmCalls) ? readFileSync(this.npmCalls, "utf8").trim().split("\n").length : 0;
  }

  get env(): NodeJS.ProcessEnv {
    return { ...process.env, PATH: `${join(this.root, "path")}:/usr/bin:/bin` };
  }

  /** A command that the launcher finds before the system's. */
  addCommand(name: string, script: string): void {
    writeFileSync(join(this.root, "path", name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  }

  start(args: string[], nodeFlags: string[] = []): ChildProcess {
    return spawn(process.execPath, [...nodeFlags, join(this.root, "bin/pileus.mjs"), ...args], {
      env: this.env,
      stdio: ["ignore", "pipe", "pipe"],
    });
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}

interface Ended {
  code: number | null;
  signal: string | null;
  out: string;
  err: string;
}

function ending(child: ChildProcess, onOutput: (out: string) => void = () => {}): Promise<Ended> {
  return new Promise((resolve, reject) => {
    let [out, err] = ["", ""];
    child.stdout?.on("data", (chunk) => {
      out += chunk;
      onOutput(out);
    });
    child.stderr?.on("data", (chunk) => (err += chunk));
    child.once("error", reject);
    child.once("close", (code, signal) => resolve({ code, signal, out, err }));
  });
}

const ECHO = `console.log(JSON.stringify(process.argv.slice(2) satisfies string[])); process.exitCode = 7;`;

test("the first start installs, says so on stderr, and passes arguments and exit code through", async () => {
  using fixture = new Fixture(ECHO);
  const first = await ending(fixture.start(["up", "--simulate", "3"]));
  assert.deepEqual([first.code, first.out], [7, '["up","--simulate","3"]\n']);
  assert.match(first.err, /first start: installing packages with npm ci/);
  assert.match(readFileSync(fixture.npmCalls, "utf8"), /^ci /);
  const second = await ending(fixture.start([]));
  assert.deepEqual([second.code, second.err, fixture.npmRuns()], [7, "", 1]);
});

test("packages that differ from the lock file, or are gone, are installed anew", async () => {
  using fixture = new Fixture(ECHO);
  await ending(fixture.start([]));
  const runtime = { version: "26.0.1", integrity: "sha512-z", optional: true };
  fixture.writeLock({ packages: { ...LOCK.packages, [`node_modules/${RUNTIME}`]: runtime } });
  const changed = await ending(fixture.start([]));
  assert.match(changed.err, new RegExp(`differs from package-lock.json \\(${RUNTIME}\\)`));
  assert.deepEqual([changed.code, fixture.npmRuns()], [7, 2]);
  rmSync(join(fixture.root, "node_modules", RUNTIME), { recursive: true });
  assert.equal((await ending(fixture.start([]))).code, 7);
  const withoutTool = join(fixture.root, "node_modules/tool");
  rmSync(withoutTool, { recursive: true });
  assert.equal((await ending(fixture.start([]))).err, "", "a development package is not needed to start");
});

test("when npm cannot install, one sentence says what it needs", async () => {
  using fixture = new Fixture(ECHO, { npm: "echo no network >&2; exit 3" });
  const { code, out, err } = await ending(fixture.start([]));
  assert.deepEqual([code, out], [1, ""]);
  assert.match(err, /no network\npileus: npm ci failed, see above; it needs the npm registry/);
});

test("a platform without a pinned Node runs on the current one", async () => {
  using fixture = new Fixture("console.log(process.execPath)", {
    npm: "mkdir -p node_modules/library; cp package-lock.json node_modules/.package-lock.json",
  });
  const { code, out } = await ending(fixture.start([]));
  assert.deepEqual([code, out], [0, `${process.execPath}\n`]);
});

test("a signal reaches the program once, and its own exit code counts", async () => {
  const program = `
    let seen = 0;
    const alive = setInterval(() => {}, 1000);
    process.on("SIGTERM", () => { seen += 1; setTimeout(() => { clearInterval(alive); process.exitCode = 40 + seen; }, 200); });
    console.log("ready");`;
  using fixture = new Fixture(program);
  const child = fixture.start([]);
  let signalled = false;
  const { code } = await ending(child, () => {
    if (!signalled) child.kill("SIGTERM");
    signalled = true;
  });
  assert.equal(code, 41);
});

test("a program that dies of a signal takes the launcher along the same way", async () => {
  using fixture = new Fixture(`process.kill(process.pid, "SIGKILL"); setInterval(() => {}, 1000);`);
  assert.equal((await ending(fixture.start([]))).signal, "SIGKILL");
});

test("an old Node is told so in one sentence", async () => {
  using fixture = new Fixture(ECHO);
  const old = "Object.defineProperty(process, 'versions', { value: { node: '18.19.0' } })";
  const { code, err } = await ending(
    fixture.start([], ["--import", `data:text/javascript,${encodeURIComponent(old)}`]),
  );
  assert.equal(code, 1);
  assert.match(err, /^Pileus needs Node\.js 20 or newer to start; this is v.*\.\n$/);
  assert.equal(fixture.npmRuns(), 0);
});

test("a link to the launcher works from any folder", async () => {
  using fixture = new Fixture(ECHO);
  const link = join(fixture.root, "path/pileus");
  symlinkSync(join(fixture.root, "bin/pileus.mjs"), link);
  const child = spawn(link, ["doctor"], { cwd: "/", env: fixture.env });
  const { code, out } = await ending(child);
  assert.deepEqual([code, out], [7, '["doctor"]\n']);
});

/** A pinned Node that lacks a library until one of two files is there, and an apt-get that brings them. */
function withoutLibatomic(): Fixture {
  const fixture = new Fixture(ECHO);
  const system = join(fixture.root, "system-library");
  const pinned = join(fixture.root, "path/pinned-node");
  fixture.addCommand(
    "pinned-node",
    `[ -e '${system}' ] || [ -e "\${LD_LIBRARY_PATH%%:*}/libatomic.so.1" ] || exit 127
    unset LD_LIBRARY_PATH; exec '${process.execPath}' "$@"`,
  );
  const npm = `mkdir -p node_modules/library node_modules/${RUNTIME}/bin; cp package-lock.json node_modules/.package-lock.json
    ln -s '${pinned}' node_modules/${RUNTIME}/bin/node`;
  fixture.addCommand("npm", npm);
  const lists = join(fixture.root, "lists");
  fixture.addCommand(
    "apt-get",
    `echo "$@" >> '${fixture.npmCalls}'; case "$*" in
    *update) touch '${lists}';;
    *install*) [ -e '${lists}' ] && touch '${system}';;
    *download*) touch libatomic1_12.deb;;
    esac`,
  );
  fixture.addCommand(
    "dpkg-deb",
    "mkdir -p files/usr/lib/x; cd files/usr/lib/x; touch libatomic.so.1.2.0; ln -s libatomic.so.1.2.0 libatomic.so.1",
  );
  return fixture;
}

test("the library that the pinned Node needs is fetched privately where nothing may be installed", async () => {
  using fixture = withoutLibatomic();
  const first = await ending(fixture.start(["up", "--no-install"]));
  assert.deepEqual([first.code, first.out], [7, '["up","--no-install"]\n']);
  assert.match(first.err, /private copy of libatomic1/);
  assert.equal((await ending(fixture.start(["up"]))).err, "", "found again at the next start");
});

const notRoot = process.getuid?.() === 0 ? false : "only root installs system packages";

test("the library that the pinned Node needs is installed by root", { skip: notRoot }, async () => {
  using fixture = withoutLibatomic();
  const { code, err } = await ending(fixture.start([]));
  assert.equal(code, 7);
  assert.match(err, /installing libatomic1/);
  assert.match(readFileSync(fixture.npmCalls, "utf8"), /install.*libatomic1\n.*update\n.*install.*libatomic1\n$/);
});

test("without the library and without apt, one sentence says what to run", async () => {
  using fixture = withoutLibatomic();
  fixture.addCommand("apt-get", "exit 100");
  const { code, err } = await ending(fixture.start([]));
  assert.equal(code, 1);
  assert.match(err, /run: sudo apt-get install libatomic1\n$/);
});
