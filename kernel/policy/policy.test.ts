import assert from "node:assert/strict";
import { test } from "node:test";
import { CloudError } from "../errors/cloud-error.ts";
import { Loggers } from "../log/logger.ts";
import type { Credentials } from "./credentials.ts";
import { Policy, type RuleDefault } from "./policy.ts";
import type { PolicyFile } from "./policy-file.ts";

const SHOW = "os_compute_api:servers:show";
const MIGRATE = "os_compute_api:os-migrate-server:migrate";

const defaults: RuleDefault[] = [
  { name: "context_is_admin", rule: "role:admin", description: "Is an administrator." },
  {
    name: "admin_or_owner",
    rule: "is_admin:True or project_id:%(project_id)s",
    description: "Administrator, or of the same project.",
  },
  { name: SHOW, rule: "rule:admin_or_owner", description: "Show a server.", scopeTypes: ["project"] },
  { name: MIGRATE, rule: "rule:context_is_admin", description: "Migrate a server.", scopeTypes: ["project"] },
];

const member: Credentials = { userId: "u", projectId: "p1", domainId: null, systemScope: null, roles: ["member"] };
const admin: Credentials = { ...member, projectId: "p9", roles: ["admin", "manager", "member", "reader"] };
const server = { project_id: "p1" };

/** A file that a test rewrites. */
class MemoryFile implements PolicyFile {
  readonly path = "policy.yaml";
  text: string | null;
  #onChange: (() => void) | undefined;

  constructor(text: string | null) {
    this.text = text;
  }

  read(): string | null {
    return this.text;
  }

  watch(onChange: () => void): { close(): void } {
    this.#onChange = onChange;
    return { close: () => (this.#onChange = undefined) };
  }

  rewrite(text: string | null): void {
    this.text = text;
    this.#onChange?.();
  }
}

function policyWith(text: string | null) {
  const file = new MemoryFile(text);
  const lines: { level: number; msg: string }[] = [];
  const loggers = new Loggers({ destination: { write: (line) => lines.push(JSON.parse(line)) } });
  const policy = new Policy({ defaults, log: loggers.get("policy"), file });
  const said = (level: number) => lines.filter((line) => line.level === level).map((line) => line.msg);
  return { policy, file, infos: () => said(30), warnings: () => said(40), errors: () => said(50) };
}

function rejected(text: string): CloudError {
  try {
    policyWith(text);
  } catch (error) {
    if (error instanceof CloudError) return error;
    throw error;
  }
  throw new Error(`accepted: ${text}`);
}

test("defaults: owner and admin may show, only admin may migrate", () => {
  const { policy } = policyWith("");
  assert.equal(policy.check(SHOW, member, server), true);
  assert.equal(policy.check(SHOW, { ...member, projectId: "p2" }, server), false);
  assert.equal(policy.check(SHOW, admin, server), true);
  assert.equal(policy.check(MIGRATE, member, server), false);
  assert.equal(policy.check(MIGRATE, admin, server), true);
  assert.equal(policy.check("no:such:rule", admin, server), false);
});

test("a refusal names the rule to the client and explains itself to the operator", () => {
  const { policy } = policyWith("");
  assert.throws(
    () => policy.enforce(MIGRATE, member, server),
    (error) => {
      assert.ok(error instanceof CloudError);
      assert.deepEqual([error.kind, error.code], ["forbidden", "policy.forbidden"]);
      assert.equal(error.message, `Policy doesn't allow ${MIGRATE} to be performed.`);
      assert.deepEqual(error.fields, { rule: MIGRATE });
      assert.match(error.internal ?? "", /rule:context_is_admin/);
      return true;
    },
  );
  policy.enforce(MIGRATE, admin, server);
});

test("a project-scoped rule denies system and domain tokens, also when overridden", () => {
  for (const text of ["", `"${SHOW}": "@"`]) {
    const { policy } = policyWith(text);
    assert.equal(policy.check(SHOW, { ...admin, projectId: null, systemScope: "all" }, server), false);
    assert.equal(policy.check(SHOW, { ...admin, projectId: null, domainId: "d" }, server), false);
    assert.equal(policy.check(SHOW, admin, server), true);
  }
});

test("overrides apply, may bring aliases of their own, and are read from YAML and JSON", () => {
  const yaml = `# ours\noperators: role:operator\n"${MIGRATE}": "rule:operators or rule:context_is_admin"\n`;
  const json = JSON.stringify(
    { operators: "role:operator", [MIGRATE]: "rule:operators or rule:context_is_admin" },
    null,
    "\t",
  );
  for (const text of [yaml, json]) {
    const { policy, warnings } = policyWith(text);
    assert.equal(policy.check(MIGRATE, { ...member, roles: ["Operator"] }, server), true);
    assert.deepEqual(warnings(), []);
    const migrate = policy.rulesInForce().find((rule) => rule.name === MIGRATE);
    assert.deepEqual([migrate?.overridden, migrate?.scopeTypes], [true, ["project"]]);
  }
});

test("a change takes effect without a restart; going back to no file restores the defaults", () => {
  const { policy, file, infos, warnings } = policyWith(null);
  const watching = policy.watch();
  assert.equal(policy.check(MIGRATE, member, server), false);
  file.rewrite(`${MIGRATE}: "@"`);
  assert.equal(policy.check(MIGRATE, member, server), true);
  file.rewrite(null);
  assert.equal(policy.check(MIGRATE, member, server), false);
  watching.close();
  file.rewrite(`${MIGRATE}: "@"`);
  assert.equal(policy.check(MIGRATE, member, server), false);
  assert.equal(policy.reload(), true);
  assert.equal(policy.check(MIGRATE, member, server), true);
  assert.equal(warnings().length, 2);
  // Of each load one thing is said: that there was a file, or that there was none.
  assert.deepEqual(infos(), ["policy file loaded", "policy file loaded"]);
});

test("a bad file keeps the rules in force and the log names the line", () => {
  const { policy, file, errors } = policyWith(`${MIGRATE}: "@"`);
  policy.watch();
  const bad: [string, RegExp][] = [
    [`# x\n${MIGRATE}: "role:a and"`, /policy\.yaml line 2: os_compute_api:os-migrate-server:migrate: .*column 11/],
    [`a: "rule:b"\nb: "rule:a"\n`, /policy\.yaml line 2: rules refer to each other in a circle: a -> b -> a/],
    [`\n\ncontext_is_admin: "rule:${MIGRATE}"`, /policy\.yaml line 3: .*circle/],
    [`a: "@"\na: "!"`, /policy\.yaml line 2: /],
    [`x: "@"\n  y: [`, /policy\.yaml line 2: /],
    ["- role:admin", /policy\.yaml line 1: must hold/],
    [`x: "@"\n${MIGRATE}: true`, /policy\.yaml line 2: .*must be text in quotes/],
    [`\n${MIGRATE}: !`, /policy\.yaml line 2: .*must be text in quotes/],
  ];
  for (const [text, message] of bad) {
    file.rewrite(text);
    assert.match(errors().at(-1) ?? "", message);
    assert.equal(policy.reload(), false);
    assert.equal(policy.check(MIGRATE, member, server), true);
  }
});

test("a bad file at the start is an error, not a cloud with other rules than meant", () => {
  const error = rejected(`\n${MIGRATE}: "role:"`);
  assert.equal(error.code, "policy.file");
  assert.deepEqual(error.fields, { path: "policy.yaml", line: 2 });
});

test("unknown names and references are warned of", () => {
  const { warnings } = policyWith(`os_compute_api:servers:shwo: "@"\n${SHOW}: "rule:nowhere"`);
  assert.deepEqual(warnings(), [
    `rule ${SHOW} refers to nowhere, which does not exist: denied`,
    "policy file names an unknown rule, os_compute_api:servers:shwo",
  ]);
});

test("two services may share an alias, but not disagree on it", () => {
  const { log } = { log: new Loggers({ destination: { write: () => {} } }).get("policy") };
  const alias = { name: "context_is_admin", rule: "role:admin", description: "" };
  assert.ok(new Policy({ defaults: [...defaults, alias], log }).has("context_is_admin"));
  assert.throws(
    () => new Policy({ defaults: [...defaults, { ...alias, rule: "role:root" }], log }),
    (error) => error instanceof CloudError && error.code === "policy.duplicate",
  );
});
