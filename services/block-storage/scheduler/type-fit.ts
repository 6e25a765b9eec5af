import { extraSpecsOf } from "../store/find-type.ts";
import type { VolumeTypeRow } from "../store/tables.ts";

/** Whether a pool with these capabilities has everything that the type's extra specs ask for. */
export function poolFitsType(capabilities: Readonly<Record<string, unknown>>, type: VolumeTypeRow): boolean {
  return Object.entries(extraSpecsOf(type)).every(([key, wanted]) => {
    const capability = asked(key);
    return capability === null || meets(capabilities[capability], wanted);
  });
}

/** Keys without a scope, and those of the scope `capabilities`, are for the scheduler; other scopes are for drivers. */
function asked(key: string): string | null {
  const scoped = /^capabilities:(.+)$/.exec(key)?.[1];
  if (scoped !== undefined) return scoped;
  return key.includes(":") ? null : key;
}

/** OpenStack's operators in front of the wanted value; without one, equality. */
export function meets(value: unknown, wanted: string): boolean {
  const [operator = "", ...words] = wanted.trim().split(/\s+/);
  const rest = words.join(" ");
  switch (operator) {
    case "<is>":
      return isTrueWord(rest) === (value === true || (typeof value === "string" && isTrueWord(value)));
    case "<in>":
      return Array.isArray(value) ? value.map(String).includes(rest) : textOf(value).includes(rest);
    case "<or>":
      return rest.split(/\s*<or>\s*/).some((option) => option.trim() === textOf(value));
    case "=":
    case ">=":
      return numeric(value, rest, (a, b) => a >= b);
    case "<=":
      return numeric(value, rest, (a, b) => a <= b);
    case "==":
      return numeric(value, rest, (a, b) => a === b);
    case "!=":
      return numeric(value, rest, (a, b) => a !== b);
    case "s==":
      return textOf(value) === rest;
    case "s!=":
      return textOf(value) !== rest;
    default:
      return textOf(value).toLowerCase() === wanted.trim().toLowerCase();
  }
}

function numeric(value: unknown, wanted: string, holds: (a: number, b: number) => boolean): boolean {
  const [a, b] = [Number(value), Number(wanted)];
  return Number.isFinite(a) && Number.isFinite(b) && holds(a, b);
}

function isTrueWord(text: string): boolean {
  return ["true", "1", "yes", "on", "y", "t"].includes(text.trim().toLowerCase());
}

function textOf(value: unknown): string {
  return value === undefined || value === null ? "" : String(value);
}
