import { CloudError } from "../errors/cloud-error.ts";
import { ApiVersion, NO_VERSION, parseVersion, versionNumber } from "./api-version.ts";
import type { MicroversionRule, VersionHeader } from "./face.ts";
import { badRequest } from "./http-errors.ts";

type Headers = Readonly<Record<string, string | string[] | undefined>>;

/** A version that was asked for but cannot be served: 406 which echoes the version asked for. */
export class VersionOutOfRange extends CloudError {
  readonly requested: string;

  constructor(requested: string, rule: MicroversionRule) {
    super(
      "invalid",
      "http.versionRange",
      `Version ${requested} is not supported by the API. Minimum is ${rule.min} and maximum is ${rule.max}.`,
      { httpStatus: 406, fields: { min_version: rule.min, max_version: rule.max } },
    );
    this.requested = requested;
  }
}

/** Chooses the version of each request of one face; equal versions are one object. */
export class VersionNegotiator {
  readonly #rule: MicroversionRule | undefined;
  readonly #byText = new Map<string, ApiVersion>();
  readonly #default: ApiVersion;
  readonly #min: number;
  readonly #max: number;

  constructor(rule: MicroversionRule | undefined) {
    this.#rule = rule;
    this.#default = rule ? new ApiVersion(rule.default) : NO_VERSION;
    this.#min = rule ? versionNumber(rule.min) : 0;
    this.#max = rule ? versionNumber(rule.max) : 0;
  }

  /** Throws 400 for a malformed version, `VersionOutOfRange` (406) otherwise. */
  negotiate(headers: Headers): ApiVersion {
    const rule = this.#rule;
    if (!rule) return this.#default;
    for (const header of rule.requestHeaders) {
      const value = headers[header.name];
      if (value === undefined) continue;
      const text = requestedText(header, Array.isArray(value) ? value.join(",") : value);
      if (text !== undefined) return this.#byText.get(text) ?? this.#resolve(text, rule);
    }
    return this.#default;
  }

  #resolve(text: string, rule: MicroversionRule): ApiVersion {
    const wanted = rule.allowLatest && text.toLowerCase() === "latest" ? rule.max : text;
    const number = parseVersion(wanted);
    if (number === undefined || number < 10_000) {
      throw badRequest(
        "http.versionSyntax",
        `API Version String '${text}' is of invalid format. It must be of format MajorNum.MinorNum.`,
      );
    }
    if (number < this.#min || number > this.#max) throw new VersionOutOfRange(wanted, rule);
    const version = new ApiVersion(wanted);
    this.#byText.set(text, version);
    return version;
  }
}

function requestedText(header: VersionHeader, value: string): string | undefined {
  const list = header.list;
  if (!list) return value.trim();
  let found: string | undefined;
  for (const entry of value.split(",")) {
    const words = entry.trim().split(/\s+/);
    const type = (words[0] ?? "").toLowerCase();
    const usable = list.match === "equals" ? type === list.type : entry.toLowerCase().includes(list.type);
    if (!usable) continue;
    found = words.length === 2 ? (words[1] ?? "") : words.slice(1).join(" ");
    if (list.pick === "first") break;
  }
  if (found === undefined && list.whenAbsent === "reject") {
    throw badRequest("http.versionSyntax", "The version header names no version of this service.");
  }
  return found;
}
