import type { TSchema } from "typebox";
import type { Face } from "../../../kernel/http/face.ts";
import { type Action, type Endpoint, type Route, SchemasByVersion } from "../../../kernel/http/route.ts";
import type { ServedFace } from "../../../kernel/http/server.ts";
import { versionPrefix } from "../../../kernel/http/urls.ts";
import { sampleOf } from "../../support/sample-value.ts";
import type { Ask } from "./cloud-client.ts";
import { NOBODY, type Resources } from "./walked-resources.ts";

/** One route, or one action of a route. */
export interface WalkedEndpoint {
  readonly face: Face;
  readonly route: Route;
  readonly endpoint: Endpoint | Action;
  readonly name: string;
  readonly auth: Route["auth"];
  /** It changes nothing, so it may be asked by those who may. */
  readonly harmless: boolean;
  /** Its path names a resource. */
  readonly aboutOne: boolean;
}

export function walkedEndpoints(faces: readonly ServedFace[]): WalkedEndpoint[] {
  return faces.flatMap(({ face, routes }) =>
    routes.flatMap((route) =>
      (route.actions ? [...route.actions.values()].flat() : [route]).map((endpoint) => ({
        face,
        route,
        endpoint,
        name: `${face.name}: ${endpoint.name}`,
        auth: route.auth,
        harmless: route.method === "GET" || route.method === "HEAD",
        // Flavors belong to nobody; their rules look at who asks.
        aboutOne: (route.path.includes("/:") && !route.path.startsWith("/flavors/")) || isAboutToken(endpoint),
      })),
    ),
  );
}

/** The token is named in a header. */
function isAboutToken(endpoint: Endpoint): boolean {
  return endpoint.rules.size > 0 && endpoint.name.startsWith("auth.tokens.");
}

/** Bodies that schemas do not tell, by endpoint. */
const BODIES: Readonly<Record<string, unknown>> = {
  "image: images.update": [{ op: "replace", path: "/name", value: "walk" }],
  "image: images.upload": Buffer.from("bytes"),
  "volume: volumes.action.os-migrate_volume": { "os-migrate_volume": { host: "nowhere@backend#pool" } },
  "compute: servers.metadata.set": { meta: { [NOBODY]: "walk" } },
  "compute: servers.interfaces.attach": { interfaceAttachment: { net_id: NOBODY } },
  "image: images.create": { name: "walk", disk_format: "raw", container_format: "bare" },
};
const HEADERS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "image: images.update": { "Content-Type": "application/openstack-images-v2.1-json-patch" },
  "image: images.upload": { "Content-Type": "application/octet-stream" },
};

/**
 * A plausible request: with the ids of `resources`, or of nothing when null. `owner`: the project that new things are
 * for, named by those whose token has none.
 */
export function plausible(walked: WalkedEndpoint, resources: Resources | null, owner?: string): Ask {
  const { face, route, endpoint } = walked;
  // The legacy face serves what the current one does.
  const name = walked.name.replace("compute-legacy:", "compute:");
  const version = endpoint.maxVersion ?? face.microversions?.max;
  return {
    method: route.method,
    path: pathOf(walked, resources),
    body: withNetwork(name, withOwner(walked, bodyOf(walked, name, version), owner), resources),
    headers: {
      ...(version !== undefined && face.name === "compute" ? { "OpenStack-API-Version": `compute ${version}` } : {}),
      ...(isAboutToken(endpoint) ? { "X-Subject-Token": resources?.get("/identity/tokens") ?? NOBODY } : {}),
      ...HEADERS[name],
    },
  };
}

function pathOf({ face, route }: WalkedEndpoint, resources: Resources | null): string {
  const prefix = route.at === "root" ? face.root : versionPrefix(face);
  const service = face.root === "" ? "/v1" : face.root;
  let before = "";
  const parts = route.path.split("/").map((part) => {
    const word = before;
    before = part;
    return part.startsWith(":") ? (resources?.get(`${service}/${word}`) ?? NOBODY) : part;
  });
  return prefix + parts.join("/") || "/";
}

function bodyOf({ route, endpoint }: WalkedEndpoint, name: string, version: string | undefined): unknown {
  if (route.method === "GET" || route.method === "HEAD") return undefined;
  if (Object.hasOwn(BODIES, name)) return BODIES[name];
  const schema = newest(endpoint, version);
  const value = schema === undefined ? (route.actions ? null : undefined) : sampleOf(schema);
  return "key" in endpoint ? { [String(endpoint.key)]: value } : value;
}

/** Whoever makes a subnet must own its network. */
function withNetwork(name: string, body: unknown, resources: Resources | null): unknown {
  if (name !== "network: subnets.create") return body;
  const { subnet } = body as { subnet: object };
  return { subnet: { ...subnet, network_id: resources?.get("/network/networks") ?? NOBODY } };
}

/** Image and Network let administrators make things for others. */
function withOwner({ face, route }: WalkedEndpoint, body: unknown, owner: string | undefined): unknown {
  if (owner === undefined || route.method !== "POST" || typeof body !== "object" || route.path.includes("/:"))
    return body;
  if (face.name === "image") return { ...body, owner };
  if (face.name !== "network") return body;
  const [[key, value] = ["", {}]]: [string, object][] = Object.entries(body as Record<string, object>);
  return { [key]: { ...value, project_id: owner } };
}

function newest({ body, range }: Endpoint, version: string | undefined): TSchema | undefined {
  if (!(body instanceof SchemasByVersion)) return body;
  const top = version === undefined ? 0 : range.max;
  return (body.steps.find((step) => step.since <= top) ?? body.steps.at(-1))?.schema;
}
