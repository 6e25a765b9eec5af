import type { ErrorKind } from "../errors/cloud-error.ts";
import type { ApiResponse } from "./response.ts";
import type { MountPoint, Urls } from "./urls.ts";

/**
 * How one service looks on the wire: everything in which services differ, as data. Where a comment gives an
 * example it names what a well-known OpenStack service does.
 */
export interface Face extends MountPoint {
  /** Short name for logs and metrics: `compute`. */
  readonly name: string;
  /** Absent: no microversions. */
  readonly microversions?: MicroversionRule;
  readonly project: ProjectPathRule;
  readonly contentType: ContentTypeRule;
  readonly errors: ErrorRule;
  /** `remove`: keys that a closed schema does not know are dropped instead of refused (Compute's legacy alias). */
  readonly unknownBodyKeys?: "remove";
  /** Response headers that carry the request id. */
  readonly requestIdHeaders: readonly string[];
  /** Field values of `Vary` besides those of the microversion. */
  readonly vary?: readonly string[];
  readonly pagination: PaginationRule;
  /** Limit of bodies in bytes; 114688 (OpenStack's) when absent. */
  readonly bodyLimit?: number;
  /** Routes marked `optIn` are 404 unless this request header holds a true value; it is echoed as `True`. */
  readonly optInHeader?: string;
  /** The rule that makes somebody an administrator of this service; `context_is_admin` when absent. */
  readonly adminRule?: string;
}

export interface MicroversionRule {
  readonly min: string;
  readonly max: string;
  /** Used when no header asks for a version. Never "latest" in OpenStack. */
  readonly default: string;
  readonly allowLatest: boolean;
  /** In order of precedence. Empty: the version is always the default. */
  readonly requestHeaders: readonly VersionHeader[];
  /** Names of the headers that answer the version in force, with what stands before it (`compute`). */
  readonly responseHeaders: readonly { readonly name: string; readonly prefix?: string }[];
  readonly vary: readonly string[];
}

/** One request header that may hold a version. */
export interface VersionHeader {
  /** Lower case. */
  readonly name: string;
  /** Absent: the value is the bare version. Present: a comma list of `<type> <version>`. */
  readonly list?: {
    readonly type: string;
    readonly match: "equals" | "contains";
    /** Which of several entries counts. */
    readonly pick: "first" | "last";
    /** What a list without a usable entry means. */
    readonly whenAbsent: "ignore" | "reject";
  };
}

/** Whether paths hold the project id after the version, and what a foreign one answers. */
export interface ProjectPathRule {
  readonly mode: "none" | "optional" | "mandatory";
  /** 400 in most services, 403 in Database. */
  readonly mismatchStatus?: number;
  /** True: the framework's body instead of the service's envelope. */
  readonly mismatchBare?: boolean;
}

export interface ContentTypeRule {
  /** Media types taken as JSON. A missing one and `text/plain` count as JSON. */
  readonly json: readonly string[];
  /** Any other: 415, 400, or the body is treated as absent. */
  readonly otherwise: 415 | 400 | "noBody";
}

export interface ErrorRule {
  readonly render: ErrorRenderer;
  /** Differences from `DEFAULT_STATUS`. */
  readonly status?: Partial<Record<ErrorKind, number>>;
  /** A path that no route matches, or (405) not with this method. */
  readonly unrouted: ErrorRenderer;
  /** True: an unrouted path without a valid token is 401 before it is 404. */
  readonly unroutedNeedsToken: boolean;
  /** A known path with another method: 404 as unrouted, or 405 with `Allow`. */
  readonly wrongMethod: 404 | 405;
  /** Paths under the root that are neither the version nor a route; absent: as unrouted. */
  readonly unknownVersion?: (request: { readonly path: string; readonly urls: Urls }) => ApiResponse;
}

/** What an error is on the wire; `fields` are the public facts of the CloudError. */
export interface Fault {
  readonly status: number;
  /** The reason phrase of the status: `Not Found`. */
  readonly title: string;
  readonly code: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly requestId: string;
}

export interface RenderedFault {
  readonly body: string;
  readonly contentType: string;
}

export type ErrorRenderer = (fault: Fault) => RenderedFault;

/** Where the link to the next page stands in a list. */
export interface PaginationRule {
  /**
   * - `collection`: `servers_links: [{rel, href}]`
   * - `links`: top-level `links: [{rel, href}]`
   * - `object`: top-level `links: {self, next, previous}`
   * - `path`: top-level `first` and `next` as paths without a host
   */
  readonly style: "collection" | "links" | "object" | "path";
  /** Larger limits are cut to this. */
  readonly maxLimit: number;
}

/** What a kind of error means in HTTP unless a face says otherwise. */
export const DEFAULT_STATUS: Readonly<Record<ErrorKind, number>> = {
  invalid: 400,
  unauthenticated: 401,
  forbidden: 403,
  notFound: 404,
  conflict: 409,
  overQuota: 403,
  noCapacity: 400,
  unavailable: 503,
  internal: 500,
};

export const DEFAULT_BODY_LIMIT = 114_688;
