import { CloudError } from "../errors/cloud-error.ts";

/** Orders versions: `2.9` < `2.10`. Throws on anything that is not `major.minor` without leading zeros. */
export function versionNumber(text: string): number {
  const number = parseVersion(text);
  if (number === undefined) {
    throw new CloudError("internal", "http.version", "An unexpected error occurred.", {
      internal: `not a version: ${text}`,
    });
  }
  return number;
}

const VERSION = /^([1-9]\d{0,3}|0)\.([1-9]\d{0,3}|0)$/;

/** The comparable number of `major.minor`, or undefined when the text is malformed. */
export function parseVersion(text: string): number | undefined {
  const match = VERSION.exec(text);
  return match ? Number(match[1]) * 10_000 + Number(match[2]) : undefined;
}

/** The microversion of one request. Faces without microversions always see 0.0. */
export class ApiVersion {
  readonly major: number;
  readonly minor: number;
  /** `major * 10000 + minor`: compares with `<`. */
  readonly number: number;
  readonly text: string;

  constructor(text: string) {
    this.number = versionNumber(text);
    this.major = Math.floor(this.number / 10_000);
    this.minor = this.number % 10_000;
    this.text = text;
  }

  atLeast(text: string): boolean {
    return this.number >= versionNumber(text);
  }

  below(text: string): boolean {
    return this.number < versionNumber(text);
  }
}

/** Shared by all requests of a face, so that one version is one object. */
export const NO_VERSION = new ApiVersion("0.0");

/** Inclusive range of versions as numbers. */
export interface VersionRange {
  readonly min: number;
  readonly max: number;
}

/** Open ends when a bound is absent. */
export function versionRange(min: string | undefined, max: string | undefined): VersionRange {
  return {
    min: min === undefined ? 0 : versionNumber(min),
    max: max === undefined ? Number.MAX_SAFE_INTEGER : versionNumber(max),
  };
}

export function inRange(range: VersionRange, version: ApiVersion): boolean {
  return version.number >= range.min && version.number <= range.max;
}
