import { CloudError } from "../errors/cloud-error.ts";
import { errorFields, type Logger } from "../log/logger.ts";
import { compileRules, type Predicate } from "./compile-rules.ts";
import { type Credentials, type PolicyTarget, type ScopeType, scopeOf } from "./credentials.ts";
import { type Expression, referencedRules } from "./expression.ts";
import { parseRule } from "./parse-rule.ts";
import { type Override, type PolicyFile, parsePolicyFile, policyFileError } from "./policy-file.ts";

/** A rule as a service declares it; aliases (`context_is_admin`, `admin_or_owner`) are rules too. */
export interface RuleDefault {
  readonly name: string;
  readonly rule: string;
  readonly description: string;
  /** Tokens of another scope are denied whatever the rule says, also when an operator overrides it. Absent: any scope. */
  readonly scopeTypes?: readonly ScopeType[];
}

/** A rule as it is in force. */
export interface RuleInForce extends RuleDefault {
  readonly overridden: boolean;
}

interface CompiledRule {
  readonly allows: Predicate;
  readonly scopeTypes: readonly ScopeType[] | undefined;
}

interface RuleSet {
  readonly compiled: ReadonlyMap<string, CompiledRule>;
  readonly texts: ReadonlyMap<string, string>;
}

/**
 * Decides who may do what: the services' defaults, with an operator's overrides from a file.
 * An unknown rule denies. A file that cannot be used stops the start, but later leaves the rules in force as they were.
 */
export class Policy {
  readonly #defaults: ReadonlyMap<string, RuleDefault>;
  readonly #file: PolicyFile | undefined;
  readonly #log: Logger;
  #rules: RuleSet;
  #revision = 0;

  /** Throws CloudError "policy.syntax", "policy.cycle", "policy.duplicate" (defaults) or "policy.file" (overrides). */
  constructor(options: { defaults: readonly RuleDefault[]; log: Logger; file?: PolicyFile }) {
    this.#defaults = byName(options.defaults);
    this.#file = options.file;
    this.#log = options.log;
    this.#rules = this.#build([]);
    if (this.#file) this.#rules = this.#load(this.#file);
  }

  /** Grows with every file that was read: rules may be others since. */
  get revision(): number {
    return this.#revision;
  }

  /** True when the rule allows it. */
  check(ruleName: string, credentials: Credentials, target: PolicyTarget): boolean {
    const rule = this.#rules.compiled.get(ruleName);
    if (!rule) return false;
    if (rule.scopeTypes && !rule.scopeTypes.includes(scopeOf(credentials))) return false;
    return rule.allows(credentials, target);
  }

  /** Throws CloudError("forbidden", "policy.forbidden") with `fields.rule` unless the rule allows it. */
  enforce(ruleName: string, credentials: Credentials, target: PolicyTarget): void {
    if (this.check(ruleName, credentials, target)) return;
    throw new CloudError("forbidden", "policy.forbidden", `Policy doesn't allow ${ruleName} to be performed.`, {
      internal: this.#explain(ruleName, credentials),
      fields: { rule: ruleName },
    });
  }

  has(ruleName: string): boolean {
    return this.#rules.compiled.has(ruleName);
  }

  /** Every declared rule as it is in force now, for documentation and for tests that walk all rules. */
  rulesInForce(): RuleInForce[] {
    return [...this.#defaults.values()].map((declared) => {
      const rule = this.#rules.texts.get(declared.name) ?? declared.rule;
      return { ...declared, rule, overridden: rule !== declared.rule };
    });
  }

  /** Reads the file again. False when it could not be used: the old rules stay, and the log says why. */
  reload(): boolean {
    if (!this.#file) return true;
    try {
      this.#rules = this.#load(this.#file);
      this.#revision += 1;
    } catch (error) {
      const reason = error instanceof CloudError ? error.message : "the policy file could not be read";
      this.#log.error(errorFields(error), `${reason}; the rules in force stay as they were`);
      return false;
    }
    return true;
  }

  /** Reloads whenever the file changes, until closed. */
  watch(): { close(): void } {
    return this.#file?.watch(() => this.reload()) ?? { close: () => {} };
  }

  #load(file: PolicyFile): RuleSet {
    const text = file.read();
    const rules = this.#build(text === null ? [] : parsePolicyFile(file.path, text));
    if (text === null) this.#log.warn({ path: file.path }, "there is no policy file; the default rules apply");
    else this.#log.info({ path: file.path }, "policy file loaded");
    return rules;
  }

  #build(overrides: readonly Override[]): RuleSet {
    const expressions = new Map<string, Expression>();
    const texts = new Map<string, string>();
    // Hundreds of rules share a few texts.
    const parsed = new Map<string, Expression>();
    for (const { name, rule } of this.#defaults.values()) {
      const expression = parsed.get(rule) ?? parseRule(rule);
      parsed.set(rule, expression);
      texts.set(name, rule);
      expressions.set(name, expression);
    }
    const path = this.#file?.path ?? "";
    for (const { name, rule, line } of overrides) {
      texts.set(name, rule);
      expressions.set(
        name,
        naming(path, line, `${name}: `, () => parseRule(rule)),
      );
    }
    const predicates = compileNamingLine(path, expressions, overrides);
    this.#warnOfUnknownNames(expressions, overrides);
    const compiled = new Map<string, CompiledRule>();
    for (const [name, allows] of predicates)
      compiled.set(name, { allows, scopeTypes: this.#defaults.get(name)?.scopeTypes });
    return { compiled, texts };
  }

  /** An override that nothing uses is most likely a misspelt name; a reference to nothing always denies. */
  #warnOfUnknownNames(expressions: ReadonlyMap<string, Expression>, overrides: readonly Override[]): void {
    const used = new Set<string>();
    for (const [name, expression] of expressions) {
      for (const reference of referencedRules(expression)) {
        used.add(reference);
        if (!expressions.has(reference))
          this.#log.warn(
            { rule: name, reference },
            `rule ${name} refers to ${reference}, which does not exist: denied`,
          );
      }
    }
    for (const { name, line } of overrides)
      if (!this.#defaults.has(name) && !used.has(name))
        this.#log.warn({ rule: name, line, path: this.#file?.path }, `policy file names an unknown rule, ${name}`);
  }

  #explain(ruleName: string, credentials: Credentials): string {
    const rule = this.#rules.compiled.get(ruleName);
    if (!rule) return `rule ${ruleName} does not exist`;
    const scope = scopeOf(credentials);
    if (rule.scopeTypes && !rule.scopeTypes.includes(scope))
      return `rule ${ruleName} is for ${rule.scopeTypes.join(" or ")} scope, the token has ${scope} scope`;
    return `rule ${ruleName} (${this.#rules.texts.get(ruleName)}) does not hold`;
  }
}

/** Services may declare the same alias, as long as they mean the same. */
function byName(defaults: readonly RuleDefault[]): Map<string, RuleDefault> {
  const result = new Map<string, RuleDefault>();
  for (const declared of defaults) {
    const earlier = result.get(declared.name);
    if (earlier && (earlier.rule !== declared.rule || `${earlier.scopeTypes}` !== `${declared.scopeTypes}`))
      throw new CloudError("invalid", "policy.duplicate", `rule ${declared.name} is declared twice, differently`);
    result.set(declared.name, earlier ?? declared);
  }
  return result;
}

function compileNamingLine(
  path: string,
  expressions: ReadonlyMap<string, Expression>,
  overrides: readonly Override[],
): Map<string, Predicate> {
  try {
    return compileRules(expressions);
  } catch (error) {
    const circle = error instanceof CloudError && error.code === "policy.cycle" ? error.fields.rules : undefined;
    const culprit = overrides.findLast(({ name }) => Array.isArray(circle) && circle.includes(name));
    if (!culprit || !(error instanceof CloudError)) throw error;
    throw policyFileError(path, culprit.line, error.message, error);
  }
}

function naming<T>(path: string, line: number, prefix: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (!(error instanceof CloudError)) throw error;
    throw policyFileError(path, line, prefix + error.message, error);
  }
}
