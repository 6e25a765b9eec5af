import { Type } from "typebox";

/** TypeBox schemas of the value conventions that OpenStack services share. */

const TRUE_WORDS = ["True", "TRUE", "true", "1", "ON", "On", "on", "YES", "Yes", "yes"];
const FALSE_WORDS = ["False", "FALSE", "false", "0", "OFF", "Off", "off", "NO", "No", "no"];

/** What bodies may hold for a boolean: JSON booleans and the words of oslo; numbers and null are refused. */
export const BodyBoolean = Type.Union([
  Type.Boolean(),
  Type.Enum([...TRUE_WORDS, ...FALSE_WORDS] as [string, ...string[]]),
]);

/** The meaning of a value that passed `BodyBoolean`. */
export function isTrue(value: boolean | string): boolean {
  return typeof value === "boolean" ? value : TRUE_WORDS.includes(value);
}

/** The meaning of a query or header value (`1 t true on y yes`, any case), or undefined when it is no boolean. */
export function looseBoolean(text: string): boolean | undefined {
  switch (text.trim().toLowerCase()) {
    case "1":
    case "t":
    case "true":
    case "on":
    case "y":
    case "yes":
      return true;
    case "0":
    case "f":
    case "false":
    case "off":
    case "n":
    case "no":
      return false;
    default:
      return undefined;
  }
}

/** Name of a host as Compute takes it. */
export const HostName = Type.String({ minLength: 1, maxLength: 255, pattern: "^[a-zA-Z0-9\\-._]*$" });

/** 1–255 printable characters, not only blanks. */
export const Name = Type.String({ minLength: 1, maxLength: 255, format: "name" });

/** As `Name`, without blanks at either end. */
export const TrimmedName = Type.String({ minLength: 1, maxLength: 255, format: "trimmed-name" });

/** Up to 255 printable characters; may be empty. */
export const Description = Type.Union([Type.String({ maxLength: 255, format: "printable" }), Type.Null()]);

/** With or without dashes, any case. */
export const UuidLike = Type.String({ format: "uuid-like" });

/** ISO-8601, date or date and time, zone optional. */
export const DateTime = Type.String({ format: "iso-date-time" });

/** Values and keys of server and image metadata. */
export const Metadata = Type.Record(
  Type.String({ pattern: "^[a-zA-Z0-9\\-_:. ]{1,255}$" }),
  Type.String({ maxLength: 255 }),
  { additionalProperties: false },
);

/** A whole number, also as a string of digits. */
export function digits(minimum: number, maximum?: number) {
  const limits = maximum === undefined ? { minimum } : { minimum, maximum };
  return Type.Union([Type.Integer(limits), Type.String({ pattern: "^-?[0-9]{1,15}$", digits: limits })]);
}

/** `limit` of lists. */
export const Limit = Type.Integer({ minimum: 0 });

/** A boolean of a query: `1 t true on y yes`, any case. */
export const QueryBoolean = Type.Boolean();

const ISO_DATE_TIME = /^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2})?)?$/i;

/** What `DateTime` takes; `parseDateTime` alone takes more. */
export function isDateTime(text: string): boolean {
  return ISO_DATE_TIME.test(text) && !Number.isNaN(parseDateTime(text));
}

/** Epoch milliseconds of text that passed `DateTime`; without a zone it is UTC. */
export function parseDateTime(text: string): number {
  const zoned = /(?:Z|[+-]\d{2}:?\d{2})$/i.test(text) || !/[T ]/i.test(text);
  return Date.parse(zoned ? text.replace(" ", "T") : `${text.replace(" ", "T")}Z`);
}
