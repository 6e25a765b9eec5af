/** Where a service is mounted. */
export interface MountPoint {
  /** Without trailing slash: `/compute`. May be empty. */
  readonly root: string;
  /** Version segment under the root: `/v2.1`; empty when there is none. */
  readonly versionPath: string;
}

/** The prefix of versioned routes: `/compute/v2.1`. */
export function versionPrefix({ root, versionPath }: MountPoint): string {
  return root + versionPath;
}

/** What decides the public address of a request. */
export interface BaseUrlSettings {
  /** Fixed address (`https://cloud.example`), instead of the request's host. */
  readonly publicUrl?: string;
  /** Believe `X-Forwarded-Proto/Host/Prefix`: only behind a proxy that sets them. */
  readonly trustForwarded?: boolean;
  readonly tls: boolean;
}

type Headers = Readonly<Record<string, string | string[] | undefined>>;

const HOST = /^[A-Za-z0-9.\-_[\]:]{1,255}$/;
const PATH_PREFIX = /^(\/[A-Za-z0-9._~-]+)*$/;

/** `scheme://host[/prefix]` without trailing slash. A malformed Host header gives `localhost`. */
export function baseUrl(headers: Headers, settings: BaseUrlSettings): string {
  if (settings.publicUrl !== undefined) return settings.publicUrl;
  const scheme = settings.tls ? "https" : "http";
  const host = hostOr(headers.host, "localhost");
  if (!settings.trustForwarded) return `${scheme}://${host}`;
  const forwardedScheme = first(headers["x-forwarded-proto"]);
  const prefix = first(headers["x-forwarded-prefix"]).replace(/\/+$/, "");
  const protocol = forwardedScheme === "https" || forwardedScheme === "http" ? forwardedScheme : scheme;
  return `${protocol}://${hostOr(headers["x-forwarded-host"], host)}${PATH_PREFIX.test(prefix) ? prefix : ""}`;
}

function hostOr(value: string | string[] | undefined, otherwise: string): string {
  const host = first(value);
  return HOST.test(host) ? host : otherwise;
}

function first(value: string | string[] | undefined): string {
  const text = Array.isArray(value) ? value[0] : value;
  return (text ?? "").split(",")[0]?.trim() ?? "";
}

/** Builds the links of one request. */
export class Urls {
  readonly #headers: Headers;
  readonly #settings: BaseUrlSettings;
  readonly #mount: MountPoint;
  readonly #project: string;
  #base: string | undefined;

  constructor(mount: MountPoint, pathProjectId: string | null, headers: Headers, settings: BaseUrlSettings) {
    this.#mount = mount;
    this.#project = pathProjectId === null ? "" : `/${pathProjectId}`;
    this.#headers = headers;
    this.#settings = settings;
  }

  /** `https://cloud.example`: where the whole cloud is mounted. */
  get base(): string {
    this.#base ??= baseUrl(this.#headers, this.#settings);
    return this.#base;
  }

  /** Versioned address: `self("/servers/1")`; holds the project id only when the request's URL did. */
  self(path: string): string {
    return this.base + versionPrefix(this.#mount) + this.#project + path;
  }

  /** As `self`, without the version segment. */
  bookmark(path: string): string {
    return this.base + this.#mount.root + this.#project + path;
  }

  /** Under the face's root: `root("/v2.1/")`. */
  root(path: string): string {
    return this.base + this.#mount.root + path;
  }
}
