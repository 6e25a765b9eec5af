import type { TSchema } from "typebox";
import { badRequest } from "./http-errors.ts";
import type { QueryValue, RawQuery } from "./request.ts";
import { looseBoolean } from "./schemas.ts";

type Convert = (value: string) => unknown;

interface Known {
  readonly convert: Convert;
  readonly many: boolean;
}

/** Turns the texts of a query into the types of an object schema; made once per schema. */
export class QueryReader {
  readonly #known: ReadonlyMap<string, Known>;

  constructor(schema: TSchema) {
    this.#known = new Map(
      Object.entries(propertiesOf(schema as JsonSchema)).map(([name, property]) => [name, knownOf(property)]),
    );
  }

  /** Keys outside the schema are dropped, or refused with 400 when `strict`. Of a repeated single value the last counts. */
  read(raw: RawQuery, strict: boolean): Record<string, unknown> {
    const result: Record<string, unknown> = {};
    for (const name in raw) {
      const known = this.#known.get(name);
      if (known) result[name] = convert(known, raw[name]);
      else if (strict) {
        throw badRequest("http.query", `Invalid input for query parameters: '${name}' is not a known parameter.`);
      }
    }
    return result;
  }
}

function convert(known: Known, value: QueryValue): unknown {
  if (known.many) return (Array.isArray(value) ? value : [value ?? ""]).map(known.convert);
  return known.convert((Array.isArray(value) ? value.at(-1) : value) ?? "");
}

interface JsonSchema {
  readonly type?: string;
  readonly properties?: Record<string, JsonSchema>;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly allOf?: readonly JsonSchema[];
}

function propertiesOf(schema: JsonSchema): Record<string, JsonSchema> {
  return Object.assign({}, ...(schema.allOf ?? []).map(propertiesOf), schema.properties);
}

function knownOf(property: JsonSchema): Known {
  if (property.type === "array") return { convert: converterOf(property.items ?? {}), many: true };
  return { convert: converterOf(property), many: false };
}

/** A text that does not convert stays as it is, so that the schema refuses it with its own message. */
function converterOf(property: JsonSchema): Convert {
  if (property.anyOf) {
    const converters = property.anyOf.map(converterOf);
    return (text) => converters.map((each) => each(text)).find((value) => typeof value !== "string") ?? text;
  }
  switch (property.type) {
    case "integer":
      return (text) => (/^\s*[+-]?\d{1,15}\s*$/.test(text) ? Number(text) : text);
    case "number":
      return (text) => (/^[+-]?\d{1,15}(\.\d{1,15})?$/.test(text) ? Number(text) : text);
    case "boolean":
      return (text) => looseBoolean(text) ?? text;
    default:
      return (text) => text;
  }
}
