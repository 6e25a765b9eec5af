import type { Face } from "./face.ts";
import type { Method, Route } from "./route.ts";
import { versionPrefix } from "./urls.ts";

/** One row per route, and one per action with its key. */
export interface RouteRow {
  readonly face: string;
  readonly name: string;
  readonly method: Method;
  /** As clients see it, with `:project_id` only where it is mandatory: `/compute/v2.1/servers/:id`. */
  readonly path: string;
  readonly action: string | null;
  readonly auth: "token" | "none" | "agent";
  readonly policy: readonly string[];
  readonly minVersion: string | null;
  readonly maxVersion: string | null;
}

/** What is served, for tests and generated documents. */
export function routeRows(face: Face, route: Route): RouteRow[] {
  const endpoints = route.actions ? [...route.actions.values()].flat() : [route];
  return endpoints.map((endpoint) => ({
    face: face.name,
    name: endpoint.name,
    method: route.method,
    path: shownPath(face, route),
    action: "key" in endpoint ? String(endpoint.key) : null,
    auth: route.auth,
    policy: endpoint.authenticatedIsEnough ? ["authenticated", ...endpoint.rules] : [...endpoint.rules],
    minVersion: endpoint.minVersion ?? null,
    maxVersion: endpoint.maxVersion ?? null,
  }));
}

/** Routes by `METHOD path`, in Fastify's syntax; GET answers HEAD too unless somebody declares that. */
export function groupRoutes(face: Face, routes: readonly Route[]): Map<string, [Route, ...Route[]]> {
  const groups = new Map<string, [Route, ...Route[]]>();
  const add = (method: string, path: string, route: Route) => {
    const key = `${method} ${path}`;
    const group = groups.get(key);
    if (group) group.push(route);
    else groups.set(key, [route]);
  };
  for (const route of routes) for (const path of pathsOf(face, route)) add(route.method, path, route);
  const declared = new Set(groups.keys());
  for (const route of routes) {
    if (route.method !== "GET" || !route.head) continue;
    for (const path of pathsOf(face, route)) if (!declared.has(`HEAD ${path}`)) add("HEAD", path, route);
  }
  for (const [key, group] of groups) checkGroup(key, group);
  return groups;
}

/** Routes that share a method and path must be told apart by version alone. */
function checkGroup(key: string, group: readonly [Route, ...Route[]]): void {
  const [first, ...others] = group;
  for (const route of others) {
    if (route.auth !== first.auth || route.rawBody !== first.rawBody || route.actions || first.actions) {
      throw new Error(`${key}: ${first.name} and ${route.name} differ in more than their versions`);
    }
  }
  const byMin = group.toSorted((a, b) => a.range.min - b.range.min);
  byMin.forEach((route, i) => {
    const next = byMin[i + 1];
    if (next && next.range.min <= route.range.max) {
      throw new Error(`${key}: the versions of ${route.name} and ${next.name} overlap`);
    }
  });
}

function shownPath(face: Face, route: Route): string {
  const prefix = route.at === "root" ? face.root : versionPrefix(face);
  const project = route.at === "version" && route.auth === "token" && face.project.mode === "mandatory";
  return `${prefix}${project ? "/:project_id" : ""}${route.path}` || "/";
}

const PROJECT = "/:project_id(^[0-9a-f-]+$)";

function pathsOf(face: Face, route: Route): string[] {
  if (route.at === "root") return [face.root + route.path || "/"];
  const plain = versionPrefix(face) + route.path || "/";
  if (route.auth !== "token" || face.project.mode === "none") return [plain];
  const withProject = versionPrefix(face) + PROJECT + route.path;
  return face.project.mode === "optional" ? [plain, withProject] : [withProject];
}
