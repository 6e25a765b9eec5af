import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type RunningProgram, runProgram } from "../../apps/server/testing/running-program.ts";
import { contracts } from "../../scripts/contracts/contracts.ts";
import { errorSources } from "../../scripts/contracts/error-codes.ts";
import { assertRule } from "./support/findings.ts";
import { filesUnder, ROOT } from "./support/source.ts";

/** Rules that others refer to (`rule:…`), and that no route names. */
const ALIAS = /^(?:context_is_admin|admin_required|admin_or_owner|project_\w+_or_admin|is_\w+)$/;

describe("the program as it is assembled", () => {
  let program: RunningProgram;
  before(async () => {
    program = await runProgram();
  });
  after(() => program.close());

  it("every route names its rules, unless it takes no token", () => {
    const { routeTable } = program.server.http;
    assertRule(
      "route without policy",
      routeTable
        .filter(({ auth, policy }) => auth === "token" && policy.length === 0)
        .map(({ face, name }) => ({ subject: `${face}: ${name}`, says: "names no rule" })),
    );
  });

  it("route names are permanent keys: unique within a face", () => {
    const names = program.server.http.routeTable.map(
      ({ face, name, minVersion }) => `${face}: ${name} ${minVersion ?? ""}`,
    );
    assertRule(
      "route names",
      repeated(names).map((subject) => ({ subject, says: "names two routes" })),
    );
  });

  it("routes name declared rules, and every declared rule is used", () => {
    const declared = program.server.policy.rulesInForce();
    const used = new Set(
      program.server.http.routeTable.flatMap(({ policy }) => policy).filter((rule) => rule !== "authenticated"),
    );
    const referred = declared.flatMap(({ rule }) => [...rule.matchAll(/rule:([\w:.-]+)/g)].map(([, name]) => name));
    assertRule("policy rules", [
      ...[...used]
        .filter((name) => !program.server.policy.has(name))
        .map((subject) => ({ subject, says: "is asked for by a route, but declared by no service" })),
      ...declared
        .filter(({ name }) => !used.has(name) && !referred.includes(name) && !ALIAS.test(name))
        .map(({ name }) => ({ subject: name, says: "is declared, but no route asks for it" })),
    ]);
  });

  it("operation names and the step names of each are unique", () => {
    const operations = program.server.manifests.flatMap((manifest) => manifest.operations);
    assertRule("operation names", [
      ...repeated(operations.map(({ name }) => name)).map((subject) => ({ subject, says: "names two operations" })),
      ...operations.flatMap(({ name, steps }) =>
        repeated(steps.map((step) => step.name)).map((step) => ({ subject: name, says: `has two steps '${step}'` })),
      ),
    ]);
  });

  it("migrations are named <service>-<number>-<what>, numbered without gaps", () => {
    assertRule(
      "migration names",
      program.server.manifests.flatMap(({ migrations }) =>
        migrations.flatMap(({ name }, i) => {
          const number = Number(/^[a-z-]+-(\d{4})-[a-z0-9-]+$/.exec(name)?.[1]);
          return number === i + 1
            ? []
            : [{ subject: name, says: `should be number ${String(i + 1).padStart(4, "0")}` }];
        }),
      ),
    );
  });

  it("contracts/ is fresh: run 'npm run contracts'", () => {
    const documents = contracts(ROOT, program.server.http.faces);
    assertRule(
      "generated files",
      [...documents]
        .filter(([path, text]) => readOrEmpty(path) !== text)
        .map(([subject]) => ({ subject, says: "is not what would be generated now" })),
    );
    const present = [...readdirSync(join(ROOT, "contracts")), ...filesUnder("contracts/openapi", ".json")];
    assert.ok(present.length > 0);
    assert.deepEqual(
      filesUnder("contracts", "").filter((path) => /\.\w+$/.test(path) && !documents.has(path)),
      [],
    );
  });
});

describe("error codes", () => {
  const sources = errorSources(ROOT);

  it("are service.reason", () => {
    assertRule(
      "error code form",
      sources
        .filter(({ code }) => !/^[a-z][a-z_-]*\.[a-zA-Z_<>…]+$/.test(code))
        .map(({ code, path }) => ({ subject: path, says: `'${code}' is not service.reason` })),
    );
  });

  it("mean one kind of failure each", () => {
    const kinds = Map.groupBy(sources, ({ code }) => code);
    assertRule(
      "error code kinds",
      [...kinds].flatMap(([code, made]) => {
        const different = [...new Set(made.map(({ kind }) => kind ?? "told by its caller"))];
        const one = different.length === 1 && made[0]?.kind !== null;
        return one ? [] : [{ subject: code, says: `is ${different.join(" and ")}` }];
      }),
    );
  });
});

function repeated(names: readonly string[]): string[] {
  return [...new Set(names.filter((name, i) => names.indexOf(name) !== i))];
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(join(ROOT, path), "utf8");
  } catch {
    return "";
  }
}
