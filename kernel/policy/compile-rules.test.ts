import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CloudError } from "../errors/cloud-error.ts";
import { compileRules, type Predicate } from "./compile-rules.ts";
import type { Credentials, PolicyTarget } from "./credentials.ts";
import { type Expression, formatExpression } from "./expression.ts";
import { parseRule } from "./parse-rule.ts";
import { anyCredentials, anyExpression, anyTarget } from "./testing/arbitraries.ts";

const member: Credentials = {
  userId: "u1",
  projectId: "p1",
  domainId: null,
  systemScope: null,
  roles: ["Member", "reader"],
};

function compileText(rules: Record<string, string>): Map<string, Predicate> {
  return compileRules(new Map(Object.entries(rules).map(([name, rule]) => [name, parseRule(rule)])));
}

function holds(rule: string, target: PolicyTarget = {}, credentials: Credentials = member): boolean {
  const predicate = compileText({ subject: rule, context_is_admin: "role:admin" }).get("subject");
  assert.ok(predicate);
  return predicate(credentials, target);
}

test("roles compare without regard to case", () => {
  assert.equal(holds("role:member"), true);
  assert.equal(holds("role:READER"), true);
  assert.equal(holds("role:admin"), false);
  assert.equal(holds("role:%(needs)s", { needs: "MEMBER" }), true);
  assert.equal(holds("role:%(needs)s"), false);
});

test("attributes compare with the target, dotted either way", () => {
  assert.equal(holds("project_id:%(project_id)s", { project_id: "p1" }), true);
  assert.equal(holds("project_id:%(project_id)s", { project_id: "p2" }), false);
  assert.equal(holds("project_id:%(project_id)s", {}), false);
  assert.equal(holds("user_id:%(target.user.id)s", { target: { user: { id: "u1" } } }), true);
  assert.equal(holds("user_id:%(target.user.id)s", { "target.user.id": "u1" }), true);
  assert.equal(holds("user_id:%(target.user.id)s", { target: "u1" }), false);
  assert.equal(holds("user_id:%(constructor.name)s", {}), false);
  assert.equal(holds("user_id:u%(n)s", { n: 1 }), true);
});

test("nothing owns what has no owner", () => {
  const nobody: Credentials = { ...member, projectId: null };
  assert.equal(holds("project_id:%(project_id)s", { project_id: null }, nobody), false);
  assert.equal(holds("project_id:%(project_id)s", { project_id: "None" }, nobody), false);
  assert.equal(holds("project_id:None", {}, nobody), true);
  assert.equal(holds("None:%(project_id)s", { project_id: null }), true);
  assert.equal(holds("None:%(project_id)s", { project_id: "None" }), false);
  assert.equal(holds("None:%(project_id)s"), false);
});

test("literals, scope, admin project, service roles and other attributes", () => {
  assert.equal(holds("'shared':%(visibility)s", { visibility: "shared" }), true);
  assert.equal(holds("True:%(enabled)s", { enabled: true }), true);
  assert.equal(holds("system_scope:all"), false);
  assert.equal(holds("system_scope:all", {}, { ...member, systemScope: "all" }), true);
  assert.equal(holds("is_admin_project:True"), true);
  assert.equal(holds("is_admin_project:True", {}, { ...member, isAdminProject: false }), false);
  assert.equal(holds("service_roles:service", {}, { ...member, serviceRoles: ["service"] }), true);
  const token = { token: { project: { domain: { id: "d1" } } } };
  assert.equal(holds("token.project.domain.id:%(d)s", { d: "d1" }, { ...member, attributes: token }), true);
  assert.equal(holds("token.project.domain.id:%(d)s", { d: "d1" }), false);
});

test("is_admin means the rule context_is_admin", () => {
  assert.equal(holds("is_admin:True", {}, { ...member, roles: ["ADMIN"] }), true);
  assert.equal(holds("is_admin:True"), false);
  assert.equal(holds("is_admin:False"), true);
});

test("a reference to an unknown rule denies", () => {
  assert.equal(holds("rule:nowhere"), false);
  assert.equal(holds("rule:nowhere or role:member"), true);
});

test("a circle of rules is refused, naming it", () => {
  const circular = [
    { a: "rule:b", b: "role:x or not rule:c", c: "rule:a" },
    { a: "rule:a" },
    { context_is_admin: "is_admin:True" },
  ];
  const circles = circular.map((rules) => {
    try {
      compileText(rules);
      return null;
    } catch (error) {
      return error instanceof CloudError && error.code === "policy.cycle" ? error.fields.rules : error;
    }
  });
  assert.deepEqual(circles, [
    ["a", "b", "c", "a"],
    ["a", "a"],
    ["context_is_admin", "context_is_admin"],
  ]);
});

function evaluate(expression: Expression, credentials: Credentials, target: PolicyTarget): boolean {
  const rules = new Map([
    ["subject", expression],
    ["context_is_admin", parseRule("role:admin")],
  ]);
  return compileRules(rules).get("subject")?.(credentials, target) ?? false;
}

const twoSides = [anyExpression(), anyExpression(), anyCredentials(), anyTarget()] as const;

test("De Morgan's laws hold", () => {
  fc.assert(
    fc.property(...twoSides, (a, b, credentials, target) => {
      const not = (of: Expression): Expression => ({ kind: "not", of });
      const left = evaluate(not({ kind: "and", of: [a, b] }), credentials, target);
      assert.equal(left, evaluate({ kind: "or", of: [not(a), not(b)] }, credentials, target));
      const right = evaluate(not({ kind: "or", of: [a, b] }), credentials, target);
      assert.equal(right, evaluate({ kind: "and", of: [not(a), not(b)] }, credentials, target));
    }),
  );
});

test("and, or and not are those of logic, and survive formatting", () => {
  fc.assert(
    fc.property(...twoSides, (a, b, credentials, target) => {
      const [left, right] = [evaluate(a, credentials, target), evaluate(b, credentials, target)];
      const both: Expression = { kind: "and", of: [a, b] };
      assert.equal(evaluate(both, credentials, target), left && right);
      assert.equal(evaluate({ kind: "or", of: [a, b] }, credentials, target), left || right);
      assert.equal(evaluate(parseRule(formatExpression(both)), credentials, target), left && right);
    }),
  );
});
