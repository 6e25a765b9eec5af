import { isUtf8 } from "node:buffer";
import { CloudError } from "../errors/cloud-error.ts";
import type { ContentTypeRule } from "./face.ts";
import { badRequest } from "./http-errors.ts";

/** Reads a JSON body by the face's rule. Undefined when there is none. Throws 400 or 415. */
export function readJson(rule: ContentTypeRule, contentType: string | undefined, bytes: unknown): unknown {
  if (bytes === undefined && contentType === undefined) return undefined;
  if (!isJsonType(rule, contentType)) {
    if (rule.otherwise === "noBody") return undefined;
    throw new CloudError("invalid", "http.contentType", "The content type is not supported; send application/json.", {
      httpStatus: rule.otherwise,
    });
  }
  return Buffer.isBuffer(bytes) && bytes.length > 0 ? parseJson(bytes) : undefined;
}

function isJsonType(rule: ContentTypeRule, contentType: string | undefined): boolean {
  if (contentType === undefined || contentType === "application/json") return true;
  const end = contentType.indexOf(";");
  const type = (end < 0 ? contentType : contentType.slice(0, end)).trim().toLowerCase();
  return type === "" || type === "text/plain" || rule.json.includes(type);
}

/** Refuses what no database can hold (NUL, broken UTF-8) and keys that reach into prototypes. */
function parseJson(bytes: Buffer): unknown {
  if (!isUtf8(bytes)) throw badRequest("http.json", "The body is not valid UTF-8.");
  const text = bytes.toString("utf8");
  if (text.includes("\\u0000") || text.includes('"__proto__"')) {
    throw badRequest("http.json", "The body holds characters or keys that are not allowed.");
  }
  const value = parse(text);
  if (bytes.length > 2 * MAX_DEPTH && deeperThan(value, MAX_DEPTH)) {
    throw badRequest("http.json", "The body is nested too deeply.");
  }
  return value;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new CloudError("invalid", "http.json", "The body is not valid JSON.", { cause });
  }
}

/** Keeps everything that walks a body later from running out of stack. */
const MAX_DEPTH = 64;

function deeperThan(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return levels === 0 || Object.values(value).some((child) => deeperThan(child, levels - 1));
}
