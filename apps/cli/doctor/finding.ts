/** What one check found. `limited`: works, but less than it could; `problem`: real workloads cannot run. */
export interface Finding {
  readonly check: string;
  readonly level: "ok" | "limited" | "problem";
  readonly found: string;
  /** What to do about it. */
  readonly advice?: string;
}

const MARKS: Readonly<Record<Finding["level"], string>> = { ok: "ok", limited: "limited", problem: "PROBLEM" };

export function findingsText(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(({ check }) => check.length)) + 2;
  const lines = findings.flatMap(({ check, level, found, advice }) => [
    `${MARKS[level].padEnd(9)}${check.padEnd(width)}${found}`,
    ...(advice === undefined ? [] : [`${" ".repeat(9 + width)}${advice}`]),
  ]);
  return `${lines.join("\n")}\n`;
}
