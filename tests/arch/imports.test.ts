import { test } from "node:test";
import { assertRule, type Finding } from "./support/findings.ts";
import { type Import, importCycles } from "./support/imports.ts";
import { type SourceFile, sourceFiles } from "./support/source.ts";

/** Where a file may import from; the first entry whose folder holds the file counts. */
interface Direction {
  readonly from: RegExp;
  readonly mayImport: readonly RegExp[];
}

const KERNEL = /^kernel\//;
const PROTOCOL = /^agent\/protocol\//;

const DIRECTIONS: readonly Direction[] = [
  { from: /^kernel\/fleet\//, mayImport: [KERNEL, PROTOCOL] },
  // The engine hands verbs of the protocol through, as types.
  { from: /^kernel\/operations\//, mayImport: [KERNEL, /^agent\/protocol\/verb\.ts$/] },
  { from: KERNEL, mayImport: [KERNEL] },
  { from: PROTOCOL, mayImport: [PROTOCOL] },
  {
    from: /^agent\/drivers\/[\w-]+\/sim\//,
    mayImport: [/^agent\/(drivers|protocol|sim)\//, /^agent\/runtime\/call\.ts$/, /^kernel\/(clock|errors|ids|log)\//],
  },
  {
    from: /^agent\/drivers\//,
    mayImport: [
      /^agent\/(drivers|protocol|process|guest-image)\//,
      // What a driver is told about the command that it works on.
      /^agent\/runtime\/call\.ts$/,
      /^kernel\/(clock|errors|ids|log)\//,
    ],
  },
  { from: /^agent\//, mayImport: [/^agent\//, /^kernel\/(clock|errors|ids|log)\//] },
  { from: /^services\//, mayImport: [KERNEL, PROTOCOL] },
  { from: /^apps\//, mayImport: [/^(apps|services|agent|kernel)\//] },
  { from: /^scripts\//, mayImport: [/^(scripts|apps|services|agent|kernel)\//] },
  { from: /^(bench|tests)\//, mayImport: [/^(bench|tests|scripts|apps|services|agent|kernel)\//] },
];

/** What tests of a folder may use besides. */
const FOR_TESTS: readonly Direction[] = [
  { from: /^agent\/drivers\//, mayImport: [/^agent\//] },
  {
    from: /^services\//,
    mayImport: [
      /^agent\/(sim|drivers\/[\w-]+\/sim|runtime)\//,
      // A test of one service sets up its neighbours, and looks what is left in their tables.
      /^services\/[^/]+\/(service|settings|seed|server-ports|testing\/.*|store\/(tables|migrations))\.ts$/,
    ],
  },
];

function isAllowed(file: SourceFile, target: string): boolean {
  const direction = DIRECTIONS.find(({ from }) => from.test(file.path));
  if (direction?.mayImport.some((pattern) => pattern.test(target))) return true;
  if (staysInService(file.path, target)) return true;
  return (
    file.forTests &&
    FOR_TESTS.some(({ from, mayImport }) => from.test(file.path) && mayImport.some((p) => p.test(target)))
  );
}

/** A service may use all of itself, and of another service what it makes public. */
function staysInService(path: string, target: string): boolean {
  const own = /^services\/[^/]+\//.exec(path)?.[0];
  return own !== undefined && (target.startsWith(own) || /^services\/[^/]+\/public\.ts$/.test(target));
}

function findings(check: (file: SourceFile, entry: Import, target: string) => string | undefined): Finding[] {
  return sourceFiles().flatMap((file) =>
    file.imports.flatMap((entry): Finding[] => {
      const says = entry.path === null ? undefined : check(file, entry, entry.path);
      return says === undefined ? [] : [{ subject: file.path, line: entry.line, says }];
    }),
  );
}

test("imports point one way: apps → services → kernel, services → agent/protocol, drivers alone", () => {
  assertRule(
    "import direction",
    findings((file, _, target) => (isAllowed(file, target) ? undefined : `must not import ${target}`)),
  );
});

test("what only tests use is imported by tests only", () => {
  assertRule(
    "testing code in the program",
    findings((file, _, target) =>
      !file.forTests &&
      !/^(bench|scripts)\//.test(file.path) &&
      /\/testing[./]|\/conformance\/|\.test\.ts$/.test(target) &&
      !file.path.startsWith("agent/conformance/")
        ? `imports ${target}, which is for tests`
        : undefined,
    ),
  );
});

test("no file imports itself around a corner", () => {
  const edges = new Map(
    sourceFiles().map((file) => [file.path, file.imports.flatMap(({ path }) => (path === null ? [] : [path]))]),
  );
  assertRule(
    "import cycle",
    importCycles(edges).map((group) => ({ subject: group[0] ?? "", says: `imports in a circle: ${group.join(", ")}` })),
  );
});

test("nothing is re-exported", () => {
  assertRule(
    "re-export",
    sourceFiles().flatMap((file) =>
      file.imports
        .filter((entry) => entry.reexport)
        .map(({ line, specifier }) => ({ subject: file.path, line, says: `re-exports from ${specifier}` })),
    ),
  );
});
