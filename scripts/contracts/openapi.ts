import type { TSchema } from "typebox";
import type { Face } from "../../kernel/http/face.ts";
import { type Endpoint, type Route, SchemasByVersion } from "../../kernel/http/route.ts";
import type { ServedFace } from "../../kernel/http/server.ts";
import { versionPrefix } from "../../kernel/http/urls.ts";

type Json = Record<string, unknown>;

/** The OpenAPI document of one face: bodies and queries of the newest microversion. */
export function openApi({ face, routes }: ServedFace): Json {
  const paths: Record<string, Json> = {};
  for (const route of routes) {
    const path = pathOf(face, route);
    const item = paths[path] ?? {};
    paths[path] = item;
    const method = route.method.toLowerCase();
    const known = item[method] as Json | undefined;
    item[method] = known ? either(known, operationOf(route)) : operationOf(route);
  }
  const { microversions } = face;
  return {
    openapi: "3.1.0",
    info: {
      title: `Pileus: ${face.name}`,
      version: microversions?.max ?? "1",
      ...(microversions
        ? { "x-openstack-min-version": microversions.min, "x-openstack-max-version": microversions.max }
        : {}),
    },
    paths: sorted(paths),
    components: {
      securitySchemes: {
        token: { type: "apiKey", in: "header", name: "X-Auth-Token" },
        agent: { type: "http", scheme: "bearer" },
      },
    },
  };
}

/** In OpenAPI's syntax. */
function pathOf(face: Face, route: Route): string {
  const prefix = route.at === "root" ? face.root : versionPrefix(face);
  const project = route.at === "version" && route.auth === "token" && face.project.mode === "mandatory";
  const path = `${prefix}${project ? "/:project_id" : ""}${route.path}`.replaceAll(/:(\w+)/g, "{$1}");
  return path === "" ? "/" : path;
}

function operationOf(route: Route): Json {
  const endpoints = route.actions ? [...route.actions.values()].flat() : [route];
  const body = route.rawBody
    ? { content: { "application/octet-stream": { schema: { type: "string", format: "binary" } } } }
    : bodyOf(route, endpoints);
  const statuses = [...new Set(endpoints.map(({ success }) => success))].toSorted((a, b) => a - b);
  return {
    operationId: route.name,
    ...(route.actions ? {} : guards(route)),
    parameters: [...pathParameters(route), ...queryParameters(route)],
    ...(body ? { requestBody: { required: true, ...body } } : {}),
    responses: {
      ...Object.fromEntries(statuses.map((status) => [status, { description: "Success" }])),
      default: { description: "An error in the form of the service" },
    },
    security: route.auth === "none" ? [] : [{ [route.auth]: [] }],
  };
}

function guards({ minVersion, maxVersion, rules }: Endpoint): Json {
  return {
    ...(minVersion === undefined ? {} : { "x-openstack-min-version": minVersion }),
    ...(maxVersion === undefined ? {} : { "x-openstack-max-version": maxVersion }),
    ...(rules.size === 0 ? {} : { "x-openstack-policy": [...rules] }),
  };
}

function bodyOf(route: Route, endpoints: readonly Endpoint[]): Json | undefined {
  const schemas = endpoints.flatMap((endpoint): Json[] => {
    const schema = newest(endpoint.body);
    if (!("key" in endpoint)) return schema ? [schema as Json] : [];
    const key = String(endpoint.key);
    const properties = { [key]: schema ?? {} };
    return [
      { title: key, type: "object", required: [key], properties, additionalProperties: false, ...guards(endpoint) },
    ];
  });
  const [only] = schemas;
  if (!only) return undefined;
  return { content: { "application/json": { schema: route.actions ? { oneOf: schemas } : only } } };
}

function pathParameters(route: Route): Json[] {
  return [...route.path.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: "path",
    required: true,
    schema: { type: "string" },
  }));
}

function queryParameters(route: Route): Json[] {
  const schema = newest(route.query) as { properties?: Record<string, TSchema>; required?: string[] } | undefined;
  return Object.entries(schema?.properties ?? {}).map(([name, property]) => ({
    name,
    in: "query",
    ...(schema?.required?.includes(name) ? { required: true } : {}),
    schema: property,
  }));
}

function newest(schema: TSchema | SchemasByVersion<TSchema> | undefined): TSchema | undefined {
  return schema instanceof SchemasByVersion ? schema.steps[0]?.schema : schema;
}

/** Two routes that share method and path are told apart by version. */
function either(older: Json, newer: Json): Json {
  return {
    ...newer,
    "x-openstack-other-versions": [...((older["x-openstack-other-versions"] as Json[] | undefined) ?? []), older],
  };
}

function sorted<T>(record: Record<string, T>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
