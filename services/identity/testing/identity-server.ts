import type { LightMyRequestResponse } from "fastify";
import { type Clock, systemClock } from "../../../kernel/clock/clock.ts";
import { createHttpServer, type HttpServer } from "../../../kernel/http/server.ts";
import { systemIds } from "../../../kernel/ids/ids.ts";
import { Loggers, silentLogger } from "../../../kernel/log/logger.ts";
import { Policy } from "../../../kernel/policy/policy.ts";
import { counterMigration } from "../../../kernel/store/counters.ts";
import type { Migration } from "../../../kernel/store/migrate.ts";
import type { Store } from "../../../kernel/store/store.ts";
import type { BootstrapResult, CatalogTemplate } from "../bootstrap.ts";
import { createIdentityService, type IdentityService } from "../service.ts";
import { identityMigrations } from "../store/migrations.ts";

/** What a store needs before identity can run on it. */
export const testMigrations: readonly Migration[] = [counterMigration, ...identityMigrations];

export const ADMIN_PASSWORD = "admin-password";
export const DEMO_PASSWORD = "demo-password";

export const testCatalog: readonly CatalogTemplate[] = [
  { type: "identity", name: "keystone", path: "/identity" },
  { type: "compute", name: "nova", path: "/compute/v2.1" },
  { type: "volumev3", name: "cinderv3", path: "/volume/v3/%(project_id)s" },
];

export interface Call {
  readonly method?: "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly token?: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Identity alone behind a real HTTP server, set up and ready. */
export interface IdentityServer {
  readonly http: HttpServer;
  readonly service: IdentityService;
  readonly store: Store;
  readonly ids: BootstrapResult;
  /** Under `/identity/v3`, by `inject`. */
  call(path: string, call?: Call): Promise<LightMyRequestResponse>;
  /** Logs in with a password, 201 demanded; scope as on the wire. */
  token(name: string, password: string, scope?: unknown): Promise<string>;
  /** `admin` on project `admin`. */
  adminToken(): Promise<string>;
  close(): Promise<void>;
}

export async function identityServer(
  store: Store,
  options: { clock?: Clock; passwordLifeMs?: number } = {},
): Promise<IdentityServer> {
  const clock = options.clock ?? systemClock;
  const service = createIdentityService(
    { store, clock, ids: systemIds },
    {
      tokenLifeMs: 3_600_000,
      region: "RegionOne",
      catalog: testCatalog,
      ...(options.passwordLifeMs === undefined ? {} : { passwordLifeMs: options.passwordLifeMs }),
    },
  );
  const policy = new Policy({ defaults: service.manifest.policies, log: silentLogger });
  const http = createHttpServer({
    faces: service.manifest.faces,
    loggers: new Loggers({ destination: { write: () => undefined } }),
    clock,
    ids: systemIds,
    policy,
    authenticator: service.authenticator,
    identityPath: "/identity/v3",
  });
  const ids = await service.bootstrap({
    baseUrl: "http://cloud.test",
    adminPassword: ADMIN_PASSWORD,
    demoPassword: DEMO_PASSWORD,
  });
  const call = (path: string, { method = "GET", token, body, headers }: Call = {}) =>
    http.inject({
      method,
      url: `/identity/v3${path}`,
      headers: {
        host: "cloud.test",
        ...(token === undefined ? {} : { "x-auth-token": token }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { payload: JSON.stringify(body) }),
    });
  const token = async (name: string, password: string, scope?: unknown): Promise<string> => {
    const identity = {
      methods: ["password"],
      password: { user: { name, domain: { id: "default" }, password } },
    };
    const auth = scope === undefined ? { identity } : { identity, scope };
    const reply = await call("/auth/tokens", { method: "POST", body: { auth } });
    if (reply.statusCode !== 201) throw new Error(`login of ${name} answered ${reply.statusCode}: ${reply.body}`);
    return String(reply.headers["x-subject-token"]);
  };
  return {
    http,
    service,
    store,
    ids,
    call,
    token,
    adminToken: () => token("admin", ADMIN_PASSWORD, { project: { name: "admin", domain: { id: "default" } } }),
    close: () => http.close(0),
  };
}
