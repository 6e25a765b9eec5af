import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { assertRule, findingsOf } from "./support/findings.ts";
import { ROOT, type SourceFile, sourceFiles } from "./support/source.ts";

interface SourceRule {
  readonly name: string;
  readonly in: (file: SourceFile) => boolean;
  /** Where the pattern is looked for; code when absent. */
  readonly look?: "code" | "comments" | "uncommented" | "text";
  readonly pattern: RegExp;
  readonly says: string;
}

const PROGRAM = /^(kernel|services|agent|apps)\//;
const inProgram = ({ path, forTests }: SourceFile) => PROGRAM.test(path) && !forTests;
const anywhere = () => true;
const tests = ({ forTests }: SourceFile) => forTests;

const RULES: readonly SourceRule[] = [
  {
    name: "wall clock",
    in: (file) => inProgram(file) && !file.path.startsWith("kernel/clock/"),
    pattern: /\bDate\.now\b|\bnew Date\(\s*\)|\bperformance\.now\b|\bprocess\.hrtime\b|\bset(?:Timeout|Interval)\b/g,
    says: "time comes from kernel/clock, injected",
  },
  {
    name: "chance",
    in: (file) => inProgram(file) && !file.path.startsWith("kernel/ids/"),
    pattern: /\bMath\.random\b|\brandom(?:UUID|Bytes|Int)\b|\bgetRandomValues\b/g,
    says: "ids, secrets and chance come from kernel/ids, injected",
  },
  {
    name: "environment",
    in: ({ path, forTests }) => PROGRAM.test(path) && !path.startsWith("apps/") && !forTests,
    pattern: /\bprocess\.(?:env|argv|exit|exitCode|cwd|on|stdout|stderr)\b/g,
    says: "only apps/ touches the process: environment, arguments, streams, exit; settings are passed down",
  },
  {
    name: "shell",
    in: anywhere,
    pattern: /(?<!\.)\bexec(?:Sync)?\(|\bshell\s*:/g,
    says: "children get argument arrays, never a shell string",
  },
  {
    name: "writers of servers",
    in: (file) => inProgram(file) && !/^services\/compute\/store\/server(?:s|-writes)\.ts$/.test(file.path),
    pattern: /\bupdateTable\("servers"\)/g,
    says: "rows of servers are changed in services/compute/store/servers.ts and server-writes.ts, with NEXT_REVISION: lists show a row anew by it",
  },
  {
    name: "child processes",
    in: (file) => inProgram(file) && !file.path.startsWith("apps/"),
    look: "uncommented",
    pattern: /^import .*"node:child_process"/gm,
    says: "commands run through agent/process/run-command.ts",
  },
  {
    name: "console",
    in: ({ path }) => !/^(apps|scripts|bench)\//.test(path),
    pattern: /\bconsole\.(?:log|error|warn|info|debug|dir|table)\(/g,
    says: "use a logger, or t.diagnostic in tests",
  },
  {
    name: "tests left out",
    in: tests,
    pattern:
      /\b(?:test|it|describe|suite)\.only\(|\bonly\s*:\s*true\b|\b(?:test|it|describe|suite)\.todo\(|\btodo\s*:\s*(?:true|")/g,
    says: "leaves other tests, or itself, out",
  },
  {
    name: "skips without a reason",
    in: tests,
    pattern:
      /\b(?:test|it|describe|suite)\.skip\(|\bskip\s*:\s*(?:true\b|!|[\w.?()]+\s*[!=]==[^?\n]*[,}])|\bt\.skip\(\s*\)/g,
    says: "a skip gives its reason as text: { skip: condition ? false : 'why' }",
  },
  {
    name: "waits for a time",
    in: tests,
    pattern: /\bsetTimeout\b|\bsetInterval\b|\bscheduler\.wait\b/g,
    says: "tests wait for a condition with a limit",
  },
  {
    name: "suppressed checks",
    in: anywhere,
    look: "comments",
    pattern: /biome-ignore|@ts-(?:ignore|expect-error|nocheck)/g,
    says: "switches a check off",
  },
  {
    name: "work left for later",
    in: anywhere,
    look: "comments",
    pattern: /\b(?:TODO|FIXME|XXX|HACK)\b/g,
    says: "finish it, or open an issue",
  },
];

for (const rule of RULES) {
  test(rule.name, () => {
    const files = sourceFiles().filter((file) => rule.in(file) && !file.path.startsWith("tests/arch/"));
    assertRule(
      rule.name,
      files.flatMap((file) => findingsOf(file.path, file[rule.look ?? "code"], rule.pattern, rule.says)),
    );
  });
}

const MAX_LINES = 400;

test("file size", () => {
  const long = sourceFiles().map(({ path, text }) => ({ path, lines: text.split("\n").length - 1 }));
  assertRule(
    "file size",
    long
      .filter(({ lines }) => lines > MAX_LINES)
      .map(({ path, lines }) => ({ subject: path, says: `has ${lines} lines; past ${MAX_LINES}, split` })),
  );
});

test("file names", () => {
  assertRule(
    "file names",
    sourceFiles()
      .filter(({ path }) => !/^(?:[a-z0-9]+(?:-[a-z0-9]+)*[./])+ts$/.test(path))
      .map(({ path }) => ({ subject: path, says: "names are kebab-case" })),
  );
});

test("the linter refuses any, !, default exports, barrel files and forgotten promises", () => {
  const { rules } = (JSON.parse(readFileSync(join(ROOT, "biome.json"), "utf8")) as BiomeFile).linter;
  const wanted = ["noExplicitAny", "noDefaultExport", "noNonNullAssertion", "noBarrelFile", "noFloatingPromises"];
  const level = new Map(
    Object.values(rules).flatMap((group) => (typeof group === "string" ? [] : Object.entries(group))),
  );
  assert.deepEqual(
    wanted.filter((name) => level.get(name) !== "error"),
    [],
    "biome.json must have these at error",
  );
});

interface BiomeFile {
  readonly linter: { readonly rules: Readonly<Record<string, string | Readonly<Record<string, string>>>> };
}
