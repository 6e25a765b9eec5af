import fc from "fast-check";
import type { Credentials, PolicyTarget } from "../credentials.ts";
import type { Expression, Template } from "../expression.ts";

const ROLES = ["admin", "manager", "member", "reader", "service"];
const IDS = ["p1", "p2", "all", "None", "100%"];
/** Ordinary objects, as the parser makes them. */
const PLAIN = { noNullPrototype: true } as const;
const TARGETS = ["project_id", "user_id", "target.user.id"];

/** Expressions over few names, so that checks often hold and often do not. */
export function anyExpression(): fc.Arbitrary<Expression> {
  const template = fc.oneof(
    fc.constantFrom(...IDS).map((id): Template => [id]),
    fc.constantFrom(...TARGETS).map((target): Template => [{ target }]),
    fc.constantFrom(...TARGETS).map((target): Template => ["x-", { target }, "-%"]),
  );
  const literal = fc.constantFrom("p1", "it's", "", null, true, false, 0, 42, -1);
  const leaf = fc.oneof(
    fc.constant<Expression>({ kind: "always" }),
    fc.constant<Expression>({ kind: "never" }),
    fc.constantFrom(...ROLES).map((role): Expression => ({ kind: "role", match: [role] })),
    fc.constantFrom("context_is_admin", "a:b").map((name): Expression => ({ kind: "rule", name })),
    fc.record({ value: literal, match: template }, PLAIN).map((parts): Expression => ({ kind: "literal", ...parts })),
    fc
      .record(
        { path: fc.constantFrom("project_id", "user_id", "system_scope", "token.user.id"), match: template },
        PLAIN,
      )
      .map((parts): Expression => ({ kind: "attribute", ...parts })),
  );
  const { expression } = fc.letrec<{ expression: Expression }>((tie) => ({
    expression: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      leaf,
      tie("expression").map((of): Expression => ({ kind: "not", of })),
      fc
        .record(
          {
            kind: fc.constantFrom<"and" | "or">("and", "or"),
            of: fc.array(tie("expression"), { minLength: 2, maxLength: 4 }),
          },
          PLAIN,
        )
        .map((parts): Expression => parts),
    ),
  }));
  return expression;
}

export function anyCredentials(): fc.Arbitrary<Credentials> {
  return fc.record({
    userId: fc.constantFrom(...IDS),
    projectId: fc.constantFrom(...IDS, null),
    domainId: fc.constantFrom("d1", null),
    systemScope: fc.constantFrom("all" as const, null),
    roles: fc.subarray(ROLES),
  });
}

export function anyTarget(): fc.Arbitrary<PolicyTarget> {
  const id = fc.constantFrom(...IDS, null, true, 42);
  return fc.record(
    { project_id: id, user_id: id, target: fc.record({ user: fc.record({ id }) }) },
    { requiredKeys: [] },
  );
}
