import { Type } from "typebox";
import { systemClock } from "../clock/clock.ts";
import { CloudError } from "../errors/cloud-error.ts";
import { sequentialIds } from "../ids/ids.ts";
import { Loggers } from "../log/logger.ts";
import type { Credentials } from "../policy/credentials.ts";
import { COMMON_FAULT_NAMES, frameworkEnvelope, namedEnvelope } from "./envelopes.ts";
import type { Face } from "./face.ts";
import type { Authenticator, PolicyCheck } from "./request.ts";
import { action, actionRoute, byVersion, type Route, route } from "./route.ts";
import { HostName, Name } from "./schemas.ts";
import { createHttpServer, type HttpServer, type HttpServerOptions } from "./server.ts";

/** A face with everything in it: what tests of the kernel talk to. */
export const exampleFace: Face = {
  name: "compute",
  root: "/compute",
  versionPath: "/v2.1",
  microversions: {
    min: "2.1",
    max: "2.104",
    default: "2.1",
    allowLatest: true,
    requestHeaders: [
      {
        name: "openstack-api-version",
        list: { type: "compute", match: "equals", pick: "last", whenAbsent: "ignore" },
      },
      { name: "x-openstack-nova-api-version" },
    ],
    responseHeaders: [{ name: "OpenStack-API-Version", prefix: "compute" }, { name: "X-OpenStack-Nova-API-Version" }],
    vary: ["OpenStack-API-Version", "X-OpenStack-Nova-API-Version"],
  },
  project: { mode: "optional", mismatchStatus: 400 },
  contentType: { json: ["application/json", "application/vnd.openstack.compute+json"], otherwise: 415 },
  errors: {
    render: namedEnvelope(COMMON_FAULT_NAMES, "computeFault"),
    unrouted: frameworkEnvelope,
    unroutedNeedsToken: true,
    wrongMethod: 404,
  },
  requestIdHeaders: ["x-openstack-request-id", "x-compute-request-id"],
  pagination: { style: "collection", maxLimit: 1000 },
};

export const READER = "reader-token";
export const ADMIN = "admin-token";
export const PROJECT = "0123456789abcdef0123456789abcdef";

const people: Readonly<Record<string, readonly string[]>> = { [READER]: ["reader"], [ADMIN]: ["admin", "reader"] };

/** Knows the tokens above, all scoped to `PROJECT`. */
export const exampleAuthenticator: Authenticator = {
  async authenticate(token): Promise<Credentials> {
    const roles = people[token];
    if (!roles) throw new CloudError("unauthenticated", "identity.badToken", "The token is not valid.");
    return { userId: `user-${token}`, projectId: PROJECT, domainId: null, systemScope: null, roles };
  },
};

/** Tokens are `<role>.<project>`: `member.p1`, `admin.ops`; roles imply the lesser ones. */
export const roleTokens: Authenticator = {
  async authenticate(token): Promise<Credentials> {
    const [role = "", projectId = null] = token.split(".");
    const roles = ["reader", "member", "admin"];
    if (!roles.includes(role))
      throw new CloudError("unauthenticated", "http.unauthenticated", "The token is not valid.");
    const held = roles.slice(0, roles.indexOf(role) + 1);
    return { userId: `user-${token}`, projectId, domainId: null, systemScope: null, roles: held };
  },
};

/** Rules are role names here. */
export const examplePolicy: PolicyCheck = {
  revision: 0,
  check: (rule, credentials) => credentials.roles.includes(rule === "context_is_admin" ? "admin" : rule),
  enforce(rule, credentials, target) {
    if (!this.check(rule, credentials, target)) {
      throw new CloudError("forbidden", "policy.forbidden", `Policy doesn't allow ${rule} to be performed.`);
    }
  },
};

export const exampleRoutes: readonly Route[] = [
  route({
    name: "servers.list",
    method: "GET",
    path: "/servers",
    policy: "reader",
    query: Type.Object({
      limit: Type.Optional(Type.Integer({ minimum: 0 })),
      marker: Type.Optional(Type.String()),
      deleted: Type.Optional(Type.Boolean()),
      sort_key: Type.Optional(Type.Array(Type.String())),
    }),
    strictQueryFrom: "2.75",
    handler(request) {
      request.authorize("reader");
      const { limit, sort_key } = request.query;
      return { body: { servers: [], ...(limit === undefined ? {} : { limit }), ...(sort_key ? { sort_key } : {}) } };
    },
  }),
  route({
    name: "servers.create",
    method: "POST",
    path: "/servers",
    policy: "reader",
    success: 202,
    body: byVersion({
      "2.1": Type.Object({ server: Type.Object({ name: Name }, { additionalProperties: false }) }),
      "2.37": Type.Object({
        server: Type.Object({ name: Name, networks: Type.Literal("auto") }, { additionalProperties: false }),
      }),
    }),
    handler(request) {
      request.authorize("reader");
      return { body: { server: { name: request.body.server.name } } };
    },
  }),
  route({
    name: "servers.forgetful",
    method: "GET",
    path: "/forgetful",
    policy: "reader",
    handler: () => ({ body: {} }),
  }),
  actionRoute({
    name: "servers.action",
    path: "/servers/:id/action",
    actions: [
      action({
        key: "migrate",
        policy: "admin",
        body: byVersion({
          "2.1": Type.Null(),
          "2.56": Type.Union([
            Type.Null(),
            Type.Object({ host: Type.Optional(Type.Union([HostName, Type.Null()])) }, { additionalProperties: false }),
          ]),
        }),
        handler(request) {
          request.authorize("admin", { project_id: PROJECT });
          return undefined;
        },
      }),
      action({
        key: "suspended",
        policy: "authenticated",
        minVersion: "2.30",
        maxVersion: "2.40",
        handler: () => undefined,
      }),
    ],
  }),
];

export const tokens = (token: string, more: Record<string, string> = {}): Record<string, string> => ({
  "x-auth-token": token,
  ...more,
});

/** A server of the example face that logs nothing below `error`. */
export function exampleServer(more: Partial<HttpServerOptions> = {}): HttpServer {
  return createHttpServer({
    faces: [{ face: exampleFace, routes: exampleRoutes }],
    loggers: new Loggers({ destination: { write: () => undefined } }),
    clock: systemClock,
    ids: sequentialIds(),
    policy: examplePolicy,
    authenticator: exampleAuthenticator,
    identityPath: "/identity/v3",
    ...more,
  });
}
