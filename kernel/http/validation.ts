import { Ajv, type ErrorObject, type ValidateFunction } from "ajv";
import type { TSchema } from "typebox";
import { CloudError } from "../errors/cloud-error.ts";
import { isUuidLike } from "../ids/ids.ts";
import { isDateTime } from "./schemas.ts";

/** Compiles schemas on first use and keeps them. Nothing is coerced or defaulted. */
export class Validator {
  readonly #ajv: Ajv;
  readonly #compiled = new WeakMap<TSchema, ValidateFunction>();

  /** `removeUnknown`: what closed objects do not know is removed from the value instead of refused. */
  constructor(options: { removeUnknown?: boolean } = {}) {
    this.#ajv = createAjv(options.removeUnknown ?? false);
  }

  /** Throws `CloudError("invalid", "http.schema")` naming attribute, value and constraint. `at` stands before the attribute. */
  validate(schema: TSchema, value: unknown, at = ""): void {
    let check = this.#compiled.get(schema);
    if (!check) {
      check = this.#ajv.compile(schema);
      this.#compiled.set(schema, check);
    }
    if (!check(value)) throw schemaError(check.errors ?? [], at);
  }
}

function createAjv(removeAdditional: boolean): Ajv {
  // The schemas are TypeBox's: checking them against the schema of schemas would only make the first request slow.
  const trusted = { meta: false, validateSchema: false, strict: false };
  const ajv = new Ajv({ ...trusted, verbose: true, unicodeRegExp: true, removeAdditional });
  ajv.addFormat("name", (text: string) => text.trim().length > 0 && isPrintable(text));
  ajv.addFormat("trimmed-name", (text: string) => text.trim() === text && text.length > 0 && isPrintable(text));
  ajv.addFormat("printable", isPrintable);
  ajv.addFormat("uuid-like", isUuidLike);
  ajv.addFormat("iso-date-time", isDateTime);
  ajv.addFormat("base64", (text: string) => BASE64.test(text));
  ajv.addKeyword({
    keyword: "digits",
    type: "string",
    validate: (limits: { minimum: number; maximum?: number }, text: string) =>
      Number(text) >= limits.minimum && Number(text) <= (limits.maximum ?? Number.MAX_SAFE_INTEGER),
  });
  return ajv;
}

const BASE64 = /^(?:[A-Za-z0-9+/\s]*)={0,2}\s*$/;
const CONTROL = /[\p{Cc}\p{Cs}\p{Cn}\p{Zl}\p{Zp}]/u;

function isPrintable(text: string): boolean {
  return !CONTROL.test(text);
}

/** Values under such names are never repeated in a message. */
const SECRET_NAME = /pass|secret|token|credential|private|user_data|content/i;

function schemaError(errors: readonly ErrorObject[], at: string): CloudError {
  const deepest = deepestOf(errors);
  const error = mostTelling(deepest);
  if (!error) return new CloudError("invalid", "http.schema", "The request body is not valid.");
  const path = joinPath(at, error.instancePath);
  const constraint = constraintText(error, deepest);
  const where = path === "" ? "the body" : path;
  const message = SECRET_NAME.test(path)
    ? `Invalid input for ${where}: ${constraint}`
    : `Invalid input for ${where}. Value: ${shown(error.data)}. ${constraint}`;
  return new CloudError("invalid", "http.schema", message, { fields: {} });
}

/** Unions report each branch and then themselves; the branches that got deepest say most. */
function deepestOf(errors: readonly ErrorObject[]): ErrorObject[] {
  const depth = Math.max(...errors.map(({ instancePath }) => instancePath.length));
  return errors.filter(({ instancePath }) => instancePath.length === depth);
}

/** Of the branches that looked at the same value: one that knew the value's kind, and missed something inside. */
function mostTelling(deepest: readonly ErrorObject[]): ErrorObject | undefined {
  return deepest.find(({ keyword }) => keyword === "additionalProperties" || keyword === "required") ?? deepest[0];
}

function joinPath(at: string, instancePath: string): string {
  const below = instancePath.replaceAll("~1", "/").replaceAll("~0", "~").replaceAll("/", ".");
  return at === "" ? below.slice(1) : at + below;
}

/** `others`: what else was reported of the same value. */
function constraintText(error: ErrorObject, others: readonly ErrorObject[]): string {
  const parameters: Record<string, unknown> = error.params;
  if (error.keyword === "additionalProperties") {
    return `additional property '${String(parameters.additionalProperty)}' is not allowed`;
  }
  if (error.keyword === "enum") return `must be one of ${shown(parameters.allowedValues)}`;
  if (error.keyword === "const") return `must be one of ${shown(others.flatMap(allowedBy))}`;
  if (error.keyword === "type") return `must be ${[...new Set(others.flatMap(typeAskedBy))].join(" or ")}`;
  return error.message ?? "is not valid";
}

function allowedBy({ keyword, params }: ErrorObject): unknown[] {
  if (keyword === "const") return [params.allowedValue];
  return keyword === "type" && params.type === "null" ? [null] : [];
}

function typeAskedBy({ keyword, params }: ErrorObject): string[] {
  return keyword === "type" ? [String(params.type)] : [];
}

function shown(value: unknown): string {
  const text = JSON.stringify(value, (key, inner) => (SECRET_NAME.test(key) ? "***" : inner)) ?? "undefined";
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
