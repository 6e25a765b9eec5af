import type { ApiResponse } from "../../../kernel/http/response.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import type { Urls } from "../../../kernel/http/urls.ts";

const NEWEST_MINOR = 7;

const at = (path: string, place: "root" | "version", status: number): Route =>
  route({
    name: `versions.${place}${path === "/" ? "" : path.replaceAll("/", ".")}`,
    method: "GET",
    path,
    auth: "none",
    ...(place === "root" ? { at: "root" as const } : {}),
    handler: (request) => versionList(request.urls, status),
  });

/** Glance's clients find their version by the list, which stands at several places. */
export const versionRoutes: readonly Route[] = [
  at("/", "root", 300),
  at("/versions", "root", 200),
  at("/", "version", 300),
];

function versionList(urls: Urls, status: number): ApiResponse {
  const minors = Array.from({ length: NEWEST_MINOR + 1 }, (_, index) => NEWEST_MINOR - index);
  const versions = minors.map((minor) => ({
    id: `v2.${minor}`,
    status: minor === NEWEST_MINOR ? "CURRENT" : "SUPPORTED",
    links: [{ rel: "self", href: urls.root("/v2/") }],
  }));
  return { status, body: { versions } };
}
