import type { TSchema } from "typebox";
import { Validator } from "../../kernel/http/validation.ts";

interface JsonSchema {
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly TSchema[];
  readonly allOf?: readonly TSchema[];
  readonly properties?: Readonly<Record<string, TSchema>>;
  readonly required?: readonly string[];
  readonly patternProperties?: Readonly<Record<string, TSchema>>;
  readonly minProperties?: number;
  readonly minItems?: number;
  readonly items?: TSchema;
  readonly minimum?: number;
  readonly minLength?: number;
}

const TEXTS = [
  "sample",
  "5b1e2f8a-6c3d-4f10-9a2b-7c8d9e0f1a2b",
  "5b1e2f8a6c3d4f109a2b7c8d9e0f1a2b",
  "1",
  "true",
  "GET",
  "/",
  "127.0.0.1",
  "52:54:00:12:34:56",
  "http://127.0.0.1/",
  "2026-01-01T00:00:00Z",
  "c2FtcGxl",
];

const validator = new Validator();

/** The smallest value that a schema takes, as far as a sample can be made from it. */
export function sampleOf(schema: TSchema): unknown {
  const { type, anyOf, allOf, ...rest }: JsonSchema = schema;
  if (rest.const !== undefined) return rest.const;
  if (rest.enum !== undefined) return rest.enum[0];
  const branch = anyOf?.[0];
  if (branch) return sampleOf(branch);
  if (allOf) return Object.assign({}, ...allOf.map(sampleOf));
  switch (type) {
    case "object":
      return sampleObject(schema);
    case "array":
      return rest.items && (rest.minItems ?? 0) > 0 ? [sampleOf(rest.items)] : [];
    case "integer":
    case "number":
      return Math.max(1, rest.minimum ?? 1);
    case "boolean":
      return true;
    case "null":
      return null;
    case "string":
      return TEXTS.find((text) => fits(schema, text)) ?? "x".repeat(rest.minLength ?? 1);
    default:
      return {};
  }
}

function sampleObject(schema: JsonSchema): Record<string, unknown> {
  const { properties = {}, required = [] } = schema;
  const sample: Record<string, unknown> = {};
  for (const name of required) {
    const property = properties[name];
    if (property) sample[name] = sampleOf(property);
  }
  for (const [pattern, value] of Object.entries(schema.patternProperties ?? {})) {
    const key = TEXTS.find((text) => new RegExp(pattern, "u").test(text));
    if (key !== undefined && Object.keys(sample).length === 0) sample[key] = sampleOf(value);
  }
  const optional = Object.entries(properties).filter(([name]) => !required.includes(name));
  for (const [name, property] of optional) {
    if (Object.keys(sample).length >= (schema.minProperties ?? 0)) break;
    sample[name] = sampleOf(property);
  }
  return sample;
}

function fits(schema: TSchema, text: string): boolean {
  try {
    validator.validate(schema, text);
    return true;
  } catch {
    return false;
  }
}
