import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CloudError } from "../errors/cloud-error.ts";
import { formatExpression } from "./expression.ts";
import { parseRule } from "./parse-rule.ts";
import { anyExpression } from "./testing/arbitraries.ts";

test("and binds stronger than or, not strongest", () => {
  assert.deepEqual(parseRule("role:a or not role:b and @"), {
    kind: "or",
    of: [
      { kind: "role", match: ["a"] },
      { kind: "and", of: [{ kind: "not", of: { kind: "role", match: ["b"] } }, { kind: "always" }] },
    ],
  });
});

test("checks of every kind", () => {
  const cases: [string, unknown][] = [
    ["", { kind: "always" }],
    ["  ", { kind: "always" }],
    ["@", { kind: "always" }],
    ["!", { kind: "never" }],
    ["rule:os_compute_api:servers:show", { kind: "rule", name: "os_compute_api:servers:show" }],
    ["project_id:%(project_id)s", { kind: "attribute", path: "project_id", match: [{ target: "project_id" }] }],
    ["(user_id:%(target.user.id)s)", { kind: "attribute", path: "user_id", match: [{ target: "target.user.id" }] }],
    ["token.domain.id:x-%(a)s", { kind: "attribute", path: "token.domain.id", match: ["x-", { target: "a" }] }],
    ["system_scope:all", { kind: "attribute", path: "system_scope", match: ["all"] }],
    ["is_admin:True", { kind: "attribute", path: "is_admin", match: ["True"] }],
    ["'member':%(target.role.name)s", { kind: "literal", value: "member", match: [{ target: "target.role.name" }] }],
    [`"it's: so":%(a)s`, { kind: "literal", value: "it's: so", match: [{ target: "a" }] }],
    ["None:%(domain_id)s", { kind: "literal", value: null, match: [{ target: "domain_id" }] }],
    ["False:%(enabled)s", { kind: "literal", value: false, match: [{ target: "enabled" }] }],
    ["7:%(size)s", { kind: "literal", value: 7, match: [{ target: "size" }] }],
    ["user_id:100%%", { kind: "attribute", path: "user_id", match: ["100%"] }],
    ["NOT role:x", { kind: "not", of: { kind: "role", match: ["x"] } }],
  ];
  for (const [text, expected] of cases) assert.deepEqual(parseRule(text), expected, text);
});

test("what is not a rule is refused with its column", () => {
  const cases: [string, number][] = [
    ["role:a and", 11],
    ["role:a role:b", 8],
    ["(role:a", 8],
    ["role:a)", 7],
    ["or role:a", 1],
    ["admin", 1],
    ["role:", 1],
    [":x", 1],
    ["role:a or 'x:%(b)s", 11],
    ["user_id:%(a", 9],
    ["user_id:%(a)d", 1],
    ["user_id:%d", 1],
    ["http://example.org/%(a)s", 1],
    ["role:f(x)", 7],
    [`${"(".repeat(200)}@${")".repeat(200)}`, 102],
  ];
  for (const [text, column] of cases)
    assert.throws(
      () => parseRule(text),
      (error) => error instanceof CloudError && error.code === "policy.syntax" && error.fields.column === column,
      text,
    );
});

test("a formatted expression parses to itself", () => {
  fc.assert(fc.property(anyExpression(), (e) => assert.deepEqual(parseRule(formatExpression(e)), e)));
});

test("any text either parses or is refused as a syntax error", () => {
  const piece = fc.constantFrom("role:a", "and", "or", "not", "(", ")", " ", "%(x)s", "%", "'", '"', ":", "@", "!");
  const text = fc.oneof(
    fc.string(),
    fc.array(piece).map((pieces) => pieces.join("")),
  );
  fc.assert(
    fc.property(text, (rule) => {
      try {
        const parsed = parseRule(rule);
        assert.deepEqual(parseRule(formatExpression(parsed)), parsed);
      } catch (error) {
        assert.ok(error instanceof CloudError && error.code === "policy.syntax", String(error));
      }
    }),
    { numRuns: 500 },
  );
});
