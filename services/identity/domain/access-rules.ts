/** A request as access rules see it: under the root of its service. */
export interface RuledRequest {
  readonly method: string;
  /** `/v2.1/servers`: without the root of the service. */
  readonly path: string;
  /** Every catalog type of the service. */
  readonly serviceTypes: readonly string[];
}

export interface AccessRule {
  readonly service: string;
  readonly method: string;
  readonly path: string;
}

/** `*` stands for one part of the path, `**` for any number of them, `{name}` for one part too. */
export function allowsRequest(rules: readonly AccessRule[], request: RuledRequest): boolean {
  return rules.some(
    (rule) =>
      request.serviceTypes.includes(rule.service) &&
      rule.method.toUpperCase() === request.method.toUpperCase() &&
      pathPattern(rule.path).test(request.path),
  );
}

function pathPattern(path: string): RegExp {
  const parts = path.split(/(\*\*|\*|\{[^/{}]*\})/).map((part) => {
    if (part === "**") return ".*";
    if (part === "*" || part.startsWith("{")) return "[^/]+";
    return RegExp.escape(part);
  });
  return new RegExp(`^${parts.join("")}$`);
}
