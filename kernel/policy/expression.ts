/** A piece of the right-hand side of a check: text, or the target attribute of `%(name)s`. */
export type TemplatePart = string | { readonly target: string };
export type Template = readonly TemplatePart[];
export type Literal = string | number | boolean | null;

/** One rule of the oslo.policy language, parsed. */
export type Expression =
  | { readonly kind: "always" }
  | { readonly kind: "never" }
  | { readonly kind: "not"; readonly of: Expression }
  | { readonly kind: "and"; readonly of: readonly Expression[] }
  | { readonly kind: "or"; readonly of: readonly Expression[] }
  | { readonly kind: "role"; readonly match: Template }
  | { readonly kind: "rule"; readonly name: string }
  | { readonly kind: "literal"; readonly value: Literal; readonly match: Template }
  | { readonly kind: "attribute"; readonly path: string; readonly match: Template };

/** The text of an expression; parsing it gives the same expression again. */
export function formatExpression(expression: Expression): string {
  switch (expression.kind) {
    case "always":
      return "@";
    case "never":
      return "!";
    case "not":
      return `not ${operand(expression.of)}`;
    case "and":
    case "or":
      return expression.of.map(operand).join(` ${expression.kind} `);
    case "role":
      return `role:${formatTemplate(expression.match)}`;
    case "rule":
      return `rule:${expression.name}`;
    case "literal":
      return `${formatLiteral(expression.value)}:${formatTemplate(expression.match)}`;
    case "attribute":
      return `${expression.path}:${formatTemplate(expression.match)}`;
  }
}

/** Names of the rules an expression refers to directly. */
export function referencedRules(expression: Expression): string[] {
  switch (expression.kind) {
    case "rule":
      return [expression.name];
    case "not":
      return referencedRules(expression.of);
    case "and":
    case "or":
      return expression.of.flatMap(referencedRules);
    case "attribute":
      return expression.path === "is_admin" ? [ADMIN_RULE] : [];
    default:
      return [];
  }
}

/** `is_admin` in a rule means: satisfies this rule. */
export const ADMIN_RULE = "context_is_admin";

function operand(expression: Expression): string {
  const text = formatExpression(expression);
  return expression.kind === "and" || expression.kind === "or" ? `(${text})` : text;
}

function formatTemplate(template: Template): string {
  return template
    .map((part) => (typeof part === "string" ? part.replaceAll("%", "%%") : `%(${part.target})s`))
    .join("");
}

function formatLiteral(value: Literal): string {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "number") return String(value);
  return value.includes("'") ? `"${value}"` : `'${value}'`;
}
