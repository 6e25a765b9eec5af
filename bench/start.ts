import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ADMIN_PASSWORD } from "../apps/server/testing/test-settings.ts";
import { median } from "./support/load.ts";
import { publish } from "./support/section.ts";

/** From the start of `pileus server` to its first answer to a token, and its memory at rest; against a bare node:http process. */
const ROUNDS = Number(process.argv[2] ?? 5);
const LIMIT_MS = 30_000;
const REST_MS = 3000;
const ROOT = join(import.meta.dirname, "..");
/** As bin/bootstrap.mjs gives them. */
const LAUNCHER_FLAG = "--max-semi-space-size=2";
const LAUNCHER_VARIABLES = { NODE_COMPILE_CACHE: join(ROOT, "node_modules/.cache/pileus") };
const BARE = `require("node:http").createServer((q,s)=>s.end("x")).listen(+process.argv[1],"127.0.0.1")`;

interface Run {
  readonly ms: number;
  /** Used until the answer. */
  readonly cpu: number;
  readonly restMiB: number;
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** Milliseconds until `ask` succeeds. */
async function untilAnswered(begun: number, ask: () => Promise<boolean>): Promise<number> {
  for (;;) {
    if (await ask().catch(() => false)) return performance.now() - begun;
    if (performance.now() - begun > LIMIT_MS) throw new Error("no answer");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function end(child: ChildProcess): Promise<void> {
  child.kill("SIGTERM");
  if (child.exitCode === null) await once(child, "exit");
}

async function residentMiB(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
}

/** User and system time so far, in the kernel's hundredths of a second. */
async function cpuMs(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

async function pileus(state: string): Promise<Run> {
  const port = await freePort();
  const begun = performance.now();
  const args = [
    LAUNCHER_FLAG,
    "apps/cli/main.ts",
    "server",
    "--state",
    state,
    "--listen",
    `127.0.0.1:${port}`,
    "--log-level",
    "error",
  ];
  const child = spawn(process.execPath, args, {
    cwd: ROOT,
    stdio: "ignore",
    env: { ...process.env, ...LAUNCHER_VARIABLES, PILEUS_ADMIN_PASSWORD: ADMIN_PASSWORD },
  });
  const address = `http://127.0.0.1:${port}`;
  const user = { name: "admin", domain: { id: "default" }, password: ADMIN_PASSWORD };
  const scope = { project: { name: "admin", domain: { id: "default" } } };
  const body = JSON.stringify({ auth: { identity: { methods: ["password"], password: { user } }, scope } });
  const ms = await untilAnswered(begun, async () => {
    const login = await fetch(`${address}/identity/v3/auth/tokens`, { method: "POST", body });
    const token = login.headers.get("x-subject-token") ?? "";
    const reply = await fetch(`${address}/compute/v2.1/servers`, { headers: { "X-Auth-Token": token } });
    return reply.status === 200;
  });
  const cpu = await cpuMs(child.pid ?? 0);
  await new Promise((resolve) => setTimeout(resolve, REST_MS));
  const restMiB = await residentMiB(child.pid ?? 0);
  await end(child);
  return { ms, cpu, restMiB };
}

async function bare(): Promise<Run> {
  const port = await freePort();
  const begun = performance.now();
  const child = spawn(process.execPath, ["-e", BARE, String(port)], { stdio: "ignore" });
  const ms = await untilAnswered(begun, async () => (await fetch(`http://127.0.0.1:${port}/`)).ok);
  const cpu = await cpuMs(child.pid ?? 0);
  const restMiB = await residentMiB(child.pid ?? 0);
  await end(child);
  return { ms, cpu, restMiB };
}

const firsts: Run[] = [];
const seconds: Run[] = [];
const bares: Run[] = [];
for (let round = 0; round < ROUNDS; round += 1) {
  const state = await mkdtemp(join(tmpdir(), "pileus-bench-"));
  firsts.push(await pileus(state));
  seconds.push(await pileus(state));
  bares.push(await bare());
  await rm(state, { recursive: true });
}
const of = (runs: readonly Run[], key: keyof Run) => median(runs.map((run) => run[key]));
const row = (what: string, runs: readonly Run[], key: keyof Run, unit: string, goal: string) => [
  what,
  `${of(runs, key).toFixed(0)} ${unit}`,
  `${of(bares, key).toFixed(0)} ${unit}`,
  (of(runs, key) / of(bares, key)).toFixed(1),
  goal,
];
await publish({
  name: "start",
  title: "Start and memory at rest",
  how: `From the start of the process to the first answer to a valid token (login included), and resident memory ${REST_MS / 1000} s later; against a process that is only node:http. CPU is what the process used until then: on a machine with nothing else to do, about the time it takes. Median of ${ROUNDS} rounds. The peer took 54–64 s, and 4.0 GiB in 58 processes.`,
  head: ["", "Pileus", "bare", "ratio", "goal"],
  rows: [
    row("first start, empty state", firsts, "ms", "ms", "1000 ms"),
    row("its CPU", firsts, "cpu", "ms", ""),
    row("second start", seconds, "ms", "ms", "1000 ms"),
    row("its CPU", seconds, "cpu", "ms", ""),
    row("resident memory", seconds, "restMiB", "MiB", "150 MiB"),
  ],
});
