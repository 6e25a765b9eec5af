import type { ApiVersion } from "./api-version.ts";
import type { ErrorRenderer, Face } from "./face.ts";
import { VersionNegotiator } from "./microversion.ts";

/** What is computed once per face. */
export class FaceRuntime {
  readonly face: Face;
  readonly negotiator: VersionNegotiator;
  readonly #versionHeaders = new Map<string, readonly (readonly [string, string])[]>();
  readonly #vary: readonly string[];
  readonly #plainVary: readonly string[];

  constructor(face: Face) {
    this.face = face;
    this.negotiator = new VersionNegotiator(face.microversions);
    this.#plainVary = face.vary ?? [];
    this.#vary = [...this.#plainVary, ...(face.microversions?.vary ?? [])];
  }

  /** Headers that tell the version in force. `text` may be one that was asked for and refused. */
  versionHeaders(text: string): readonly (readonly [string, string])[] {
    const cached = this.#versionHeaders.get(text);
    if (cached) return cached;
    const rule = this.face.microversions;
    return (rule?.responseHeaders ?? []).map(
      ({ name, prefix }) => [name, prefix === undefined ? text : `${prefix} ${text}`] as const,
    );
  }

  /** Remembers the headers of a version that is really served. */
  remember(version: ApiVersion): void {
    if (!this.#versionHeaders.has(version.text)) {
      this.#versionHeaders.set(version.text, this.versionHeaders(version.text));
    }
  }

  varyFor(versioned: boolean): readonly string[] {
    return versioned ? this.#vary : this.#plainVary;
  }

  get renderError(): ErrorRenderer {
    return this.face.errors.render;
  }
}
