import { Type } from "typebox";

const TRUE_WORDS = ["True", "TRUE", "true", "1", "ON", "On", "on", "YES", "Yes", "yes", "y", "t"];
const FALSE_WORDS = ["False", "FALSE", "false", "0", "OFF", "Off", "off", "NO", "No", "no", "n", "f"];

/** What bodies of Block Storage may hold for a boolean; numbers and null are refused. */
export const Bool = Type.Union([Type.Boolean(), Type.Enum([...TRUE_WORDS, ...FALSE_WORDS] as [string, ...string[]])]);

/** The meaning of a value that passed `Bool`. */
export function isTrue(value: boolean | string): boolean {
  return typeof value === "boolean" ? value : TRUE_WORDS.includes(value);
}
