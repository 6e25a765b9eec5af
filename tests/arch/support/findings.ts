import assert from "node:assert/strict";
import { allowed } from "../allowed.ts";

/** One place that breaks a rule. */
export interface Finding {
  /** What the list of exceptions names: a file, a package, a route. */
  readonly subject: string;
  readonly line?: number;
  readonly says: string;
}

/**
 * Fails with every finding that has no exception, and with every exception that has no finding any more: the list of
 * exceptions can only get shorter.
 */
export function assertRule(rule: string, findings: readonly Finding[]): void {
  const exceptions = allowed[rule] ?? {};
  const broken = findings.filter(({ subject }) => !Object.hasOwn(exceptions, subject)).map(shown);
  const unused = Object.keys(exceptions)
    .filter((subject) => !findings.some((finding) => finding.subject === subject))
    .map((subject) => `${subject}: keeps the rule now; take it out of tests/arch/allowed.ts, "${rule}"`);
  assert.ok(broken.length + unused.length === 0, `${rule}:\n  ${[...broken, ...unused].join("\n  ")}`);
}

function shown({ subject, line, says }: Finding): string {
  return `${subject}${line === undefined ? "" : `:${line}`}: ${says}`;
}

/** Each place of `text` that a pattern (with the flag g) matches. */
export function findingsOf(path: string, text: string, pattern: RegExp, says: string): Finding[] {
  return [...text.matchAll(pattern)].map((match) => ({
    subject: path,
    line: text.slice(0, match.index).split("\n").length,
    says,
  }));
}
