import { chmod, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { localMachine } from "../apps/cli/machine.ts";
import { Children } from "./test/child.ts";
import { findLeaks, killProcessesNaming, testNamespaces } from "./test/leaks.ts";
import { HELP, parseOptions, type TestOptions } from "./test/options.ts";
import { Resources } from "./test/resources.ts";
import { addCounts, COUNT_NAMES, runStage, type StageEnd, zero } from "./test/run-stage.ts";
import { type PlannedStage, planStages } from "./test/stages.ts";
import { testFiles } from "./test/test-files.ts";

const root = dirname(import.meta.dirname);
const say = (line: string) => process.stdout.write(`${line}\n`);

interface Result {
  name: string;
  outcome: "passed" | "failed" | "skipped";
  ms: number;
  end?: StageEnd;
  note?: string;
}

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) {
    say(HELP.trimEnd());
    return 0;
  }
  const plan = planStages(testFiles(root), options);
  if (options.list) {
    for (const { stage, files } of plan) {
      say(`${stage.name.padEnd(9)} ${stage.about}${stage.takes ? ` (${files.length} files)` : ""}`);
      for (const file of files) say(`          ${file}`);
    }
    return 0;
  }
  return runAll(plan, options);
}

/** Short, since sockets live below it and their paths may have 107 characters; open to the unprivileged users of servers. */
async function makeRunFolder(): Promise<{ runFolder: string; temporary: string }> {
  const runFolder = await mkdtemp(join(tmpdir(), "plt-"));
  const temporary = join(runFolder, "t");
  await mkdir(temporary);
  await chmod(runFolder, 0o755);
  await chmod(temporary, 0o1777);
  return { runFolder, temporary };
}

async function runAll(plan: readonly PlannedStage[], options: TestOptions): Promise<number> {
  const { runFolder, temporary } = await makeRunFolder();
  const namespacesBefore = testNamespaces();
  const children = new Children();
  const ci = Boolean(process.env.CI);
  const env: NodeJS.ProcessEnv = { ...process.env, TMPDIR: temporary };
  env.PATH = `${env.PATH ?? ""}:/usr/local/sbin:/usr/sbin:/sbin`;
  // Set when we are ourselves run by a test; node would then refuse to run the tests below.
  delete env.NODE_TEST_CONTEXT;
  const machine = localMachine(env);
  const resources = new Resources({ machine, mayInstall: options.mayInstall, children, env, runFolder, say });
  const verbose = Boolean(process.stdout.isTTY) && !ci;

  const cleanUp = async () => {
    await resources.stop();
    await children.endAll();
    const leaks = await findLeaks({ runFolder, temporary, namespacesBefore });
    killProcessesNaming(runFolder);
    await rm(runFolder, { recursive: true, force: true });
    return leaks;
  };
  let interrupted = false;
  const interrupt = (signal: NodeJS.Signals) => {
    if (interrupted) return;
    interrupted = true;
    say(`\n${signal}: stopping`);
    void cleanUp().finally(() => process.exit(130));
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, interrupt);

  const results: Result[] = [];
  let leaks: string[] = [];
  try {
    for (const planned of plan) {
      if (results.some(({ outcome }) => outcome === "failed") && !options.keepGoing) break;
      say(`\n== ${planned.stage.name}: ${planned.stage.about}`);
      const started = performance.now();
      const absence = await resources.provide(planned.stage.needs);
      const result: Omit<Result, "name" | "ms"> =
        absence === null
          ? outcomeOf(await runStage(planned, { root, children, env, runFolder, verbose, say }))
          : { outcome: ci ? "failed" : "skipped", note: absence };
      results.push({ name: planned.stage.name, ms: performance.now() - started, ...result });
    }
  } finally {
    if (!interrupted) leaks = await cleanUp();
  }
  // The handler ends the process once everything is stopped.
  if (interrupted) return new Promise(() => {});
  const notRun = plan.slice(results.length).map(({ stage }) => stage.name);
  return summarize(results, notRun, leaks);
}

function outcomeOf(end: StageEnd): Omit<Result, "name" | "ms"> {
  return { outcome: end.passed ? "passed" : "failed", end, ...(end.note === undefined ? {} : { note: end.note }) };
}

function summarize(results: readonly Result[], notRun: readonly string[], leaks: readonly string[]): number {
  say("");
  for (const { name, outcome, ms, end, note } of results) {
    const counts = end?.counts;
    const tests = counts ? `${counts.tests} tests${counts.skipped > 0 ? `, ${counts.skipped} skipped` : ""}` : "";
    say(
      `${name.padEnd(9)} ${outcome.padEnd(8)} ${(ms / 1000).toFixed(1).padStart(7)} s  ${tests}${note ? `  ${note}` : ""}`,
    );
  }
  if (notRun.length > 0) say(`not run   ${notRun.join(", ")}`);
  if (leaks.length > 0) say(`left behind by the tests:\n${leaks.map((leak) => `  ${leak}`).join("\n")}`);
  const total = results.map(({ end }) => end?.counts ?? zero()).reduce(addCounts, zero());
  for (const name of COUNT_NAMES) say(`# ${name} ${total[name]}`);
  return leaks.length > 0 || results.some(({ outcome }) => outcome === "failed") ? 1 : 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`npm test: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
