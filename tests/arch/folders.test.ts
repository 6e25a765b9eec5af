import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { matrixGaps } from "../../kernel/operations/testing/matrix-coverage.ts";
import { assertRule, type Finding } from "./support/findings.ts";
import { ROOT, sourceFiles } from "./support/source.ts";

/** What every service has, so that knowing one is knowing all. */
const ROOMS = ["README.md", "service.ts", "policies.ts", "domain", "http", "store", "testing"];

function foldersIn(path: string): string[] {
  return readdirSync(join(ROOT, path), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => `${path}/${entry.name}`)
    .toSorted();
}

test("service rooms", () => {
  assertRule(
    "service rooms",
    foldersIn("services").flatMap((service) => {
      const missing = ROOMS.filter((room) => !existsSync(join(ROOT, service, room)));
      return missing.length === 0 ? [] : [{ subject: service, says: `lacks ${missing.join(", ")}` }];
    }),
  );
});

test("every driver passes the conformance suite of its kind", () => {
  const drivers = foldersIn("agent/drivers")
    .flatMap(foldersIn)
    .filter((folder) => existsSync(join(ROOT, folder, "driver.ts")) || folder.endsWith("/sim"));
  const suites = sourceFiles().filter(({ path }) => path.startsWith("agent/conformance/"));
  assertRule(
    "driver conformance",
    drivers.flatMap((driver): Finding[] => {
      const tests = sourceFiles().filter(({ path }) => path.startsWith(`${driver}/`) && path.endsWith(".test.ts"));
      if (!tests.some(({ code }) => /\b\w+DriverConformance\(/.test(code))) {
        return [{ subject: driver, says: "no test of it calls the conformance suite in agent/conformance" }];
      }
      const reached = [...tests, ...suites].flatMap(({ imports }) => imports.map(({ path }) => path));
      return suites
        .map(({ path }) => path)
        .filter((path) => path.includes(`/${driver.split("/")[2]}-`) && path.endsWith("-cases.ts"))
        .filter((path) => !reached.includes(path))
        .map((path) => ({ subject: driver, says: `no test of it takes ${path}` }));
    }),
  );
});

test("every operation has its fault matrix", async () => {
  const gaps = await matrixGaps(ROOT);
  assertRule(
    "fault matrix",
    gaps.map((gap) => ({ subject: gap.split(" ")[0] ?? gap, says: gap })),
  );
});

test("packages are pinned, and docs/dependencies.md says why each is there", () => {
  const manifest = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as Record<
    string,
    Record<string, string>
  >;
  const lines = readFileSync(join(ROOT, "docs/dependencies.md"), "utf8").split("\n");
  const groups = ["dependencies", "optionalDependencies", "devDependencies"];
  const packages = groups.flatMap((group) => Object.entries(manifest[group] ?? {}));
  const documented = lines.flatMap((line) => /^\| `([^`]+)` +\|/.exec(line)?.[1] ?? []);
  assertRule("packages", [
    ...packages
      .filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version))
      .map(([name, version]) => ({ subject: name, says: `is not pinned to one version (${version})` })),
    ...packages
      .filter(([name]) => !documented.includes(name))
      .map(([name]) => ({ subject: name, says: "has no line in docs/dependencies.md" })),
    ...documented
      .filter((name) => !packages.some(([known]) => known === name))
      .map((name) => ({ subject: name, says: "is in docs/dependencies.md, but not in package.json" })),
    ...packages
      .filter(([name]) => !name.startsWith("@types/") && !name.startsWith("node-linux-"))
      .filter(([name]) => !isUsed(name))
      .map(([name]) => ({ subject: name, says: "is used nowhere" })),
  ]);
});

/** Imported, or run as a tool. */
function isUsed(name: string): boolean {
  const tool = name === "typescript" ? "tsc" : name === "@biomejs/biome" ? "biome" : undefined;
  return sourceFiles().some(
    ({ imports, text, path }) =>
      imports.some(({ specifier }) => specifier === name || specifier.startsWith(`${name}/`)) ||
      (tool !== undefined && path.startsWith("scripts/") && text.includes(tool)),
  );
}
