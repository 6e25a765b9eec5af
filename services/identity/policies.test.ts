import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { onBothStores, openSqlite } from "../../kernel/store/testing/stores.ts";
import {
  ADMIN_PASSWORD,
  type Call,
  DEMO_PASSWORD,
  type IdentityServer,
  identityServer,
  testMigrations,
} from "./testing/identity-server.ts";

const PERSONAS = ["admin", "systemReader", "domainManager", "domainReader", "member"] as const;
type Persona = (typeof PERSONAS)[number];

onBothStores("policy personas", (open) => {
  let server: IdentityServer;
  const tokens = new Map<Persona, string>();
  const known = { lab: "", labUser: "", labProject: "", readerRole: "", adminRole: "", service: "" };

  const admin = async (method: NonNullable<Call["method"]>, path: string, body?: unknown) => {
    const token = tokens.get("admin") ?? "";
    const reply = await server.call(path, { method, token, ...(body === undefined ? {} : { body }) });
    assert.ok(reply.statusCode < 300, `${method} ${path}: ${reply.statusCode} ${reply.body}`);
    return reply.statusCode === 204 ? {} : reply.json();
  };

  const logIn = async (userId: string, scope: unknown): Promise<string> => {
    const identity = { methods: ["password"], password: { user: { id: userId, password: "pw" } } };
    const reply = await server.call("/auth/tokens", { method: "POST", body: { auth: { identity, scope } } });
    assert.equal(reply.statusCode, 201, reply.body);
    return String(reply.headers["x-subject-token"]);
  };

  before(async () => {
    server = await identityServer((await open(testMigrations)).store);
    tokens.set("admin", await server.adminToken());
    const { roles } = await admin("GET", "/roles");
    const role = (name: string): string => roles.find((each: { name: string }) => each.name === name).id;
    known.readerRole = role("reader");
    known.adminRole = role("admin");
    known.lab = (await admin("POST", "/domains", { domain: { name: "Lab" } })).domain.id;
    const user = async (name: string): Promise<string> =>
      (await admin("POST", "/users", { user: { name, domain_id: known.lab, password: "pw" } })).user.id;
    known.labUser = await user("somebody");
    known.labProject = (
      await admin("POST", "/projects", { project: { name: "lab", domain_id: known.lab } })
    ).project.id;
    known.service = (await admin("GET", "/services")).services[0].id;
    const watcher = await user("watcher");
    await admin("PUT", `/system/users/${watcher}/roles/${known.readerRole}`);
    tokens.set("systemReader", await logIn(watcher, { system: { all: true } }));
    const manager = await user("manager");
    await admin("PUT", `/domains/${known.lab}/users/${manager}/roles/${role("manager")}`);
    tokens.set("domainManager", await logIn(manager, { domain: { id: known.lab } }));
    const reader = await user("reader");
    await admin("PUT", `/domains/${known.lab}/users/${reader}/roles/${known.readerRole}`);
    tokens.set("domainReader", await logIn(reader, { domain: { id: known.lab } }));
    tokens.set("member", await server.token("demo", DEMO_PASSWORD));
  });

  /** Status by persona, in the order of `PERSONAS`. */
  const rows: readonly [Call["method"], string, () => unknown, readonly number[]][] = [
    ["GET", "/projects", () => undefined, [200, 200, 200, 200, 403]],
    ["GET", "/users", () => undefined, [200, 200, 200, 200, 403]],
    ["GET", "/groups", () => undefined, [200, 200, 200, 200, 403]],
    ["GET", "/domains", () => undefined, [200, 200, 200, 200, 403]],
    ["GET", "/roles", () => undefined, [200, 200, 200, 403, 403]],
    ["GET", "/roles/{readerRole}", () => undefined, [200, 200, 200, 403, 403]],
    ["GET", "/roles/{adminRole}", () => undefined, [200, 200, 403, 403, 403]],
    ["GET", "/role_assignments", () => undefined, [200, 200, 200, 200, 403]],
    ["GET", "/services", () => undefined, [200, 200, 403, 403, 403]],
    ["GET", "/endpoints", () => undefined, [200, 200, 403, 403, 403]],
    ["GET", "/regions", () => undefined, [200, 200, 200, 200, 200]],
    ["GET", "/auth/projects", () => undefined, [200, 200, 200, 200, 200]],
    ["GET", "/users/{labUser}", () => undefined, [200, 200, 200, 200, 403]],
    ["GET", "/projects/{labProject}", () => undefined, [200, 200, 200, 200, 403]],
    ["GET", "/projects/{demoProjectId}", () => undefined, [200, 200, 403, 403, 200]],
    ["GET", "/users/{demoUserId}", () => undefined, [200, 200, 403, 403, 200]],
    ["GET", "/users/{demoUserId}/projects", () => undefined, [200, 200, 403, 403, 200]],
    ["GET", "/users/unknown", () => undefined, [404, 404, 403, 403, 403]],
    ["GET", "/system/users/{labUser}/roles", () => undefined, [200, 200, 403, 403, 403]],
    ["PATCH", "/users/{labUser}", () => ({ user: { email: "x" } }), [200, 403, 200, 403, 403]],
    ["PATCH", "/projects/{labProject}", () => ({ project: { x: 1 } }), [200, 403, 200, 403, 403]],
    ["PATCH", "/domains/{lab}", () => ({ domain: { x: 1 } }), [200, 403, 403, 403, 403]],
    ["PATCH", "/services/{service}", () => ({ service: { x: 1 } }), [200, 403, 403, 403, 403]],
    ["POST", "/regions", () => ({ region: {} }), [201, 403, 403, 403, 403]],
    ["PUT", "/{grant}/{readerRole}", () => undefined, [204, 403, 204, 403, 403]],
    ["GET", "/{grant}/{readerRole}", () => undefined, [204, 204, 204, 204, 403]],
    ["PUT", "/{grant}/{adminRole}", () => undefined, [204, 403, 403, 403, 403]],
    ["PATCH", "/users/{demoUserId}", () => ({ user: { x: 1 } }), [200, 403, 403, 403, 403]],
  ];
  /** Puts the ids of this run into a path. */
  const fill = (path: string): string => {
    const values: Record<string, string> = {
      ...known,
      demoUserId: server.ids.demoUserId,
      demoProjectId: server.ids.demoProjectId,
      grant: `projects/${known.labProject}/users/${known.labUser}/roles`,
    };
    return path.replace(/\{(\w+)\}/g, (_, name: string) => values[name] ?? "");
  };

  for (const [method = "GET", path, body, statuses] of rows) {
    it(`${method} ${path} answers ${statuses.join(" ")}`, async () => {
      for (const [index, persona] of PERSONAS.entries()) {
        const payload = body();
        const token = tokens.get(persona) ?? "";
        const reply = await server.call(fill(path), {
          method,
          token,
          ...(payload === undefined ? {} : { body: payload }),
        });
        assert.equal(reply.statusCode, statuses[index], `${persona}: ${reply.body}`);
      }
    });
  }

  it("shows a domain-scoped token its own domain only", async () => {
    const token = tokens.get("domainManager") ?? "";
    const { users } = (await server.call("/users", { token })).json();
    assert.ok(users.length > 0 && users.every((user: { domain_id: string }) => user.domain_id === known.lab));
    const { domains } = (await server.call("/domains", { token })).json();
    assert.deepEqual(
      domains.map((domain: { id: string }) => domain.id),
      [known.lab],
    );
    assert.equal((await server.call("/users?domain_id=default", { token })).statusCode, 403);
    const elsewhere = await server.call("/users", {
      method: "POST",
      token,
      body: { user: { name: "x", domain_id: "default" } },
    });
    assert.equal(elsewhere.statusCode, 403);
  });

  it("keeps application credentials to their owner, admin or not", async () => {
    const path = `/users/${server.ids.demoUserId}/application_credentials`;
    const body = { application_credential: { name: "x" } };
    const token = tokens.get("admin") ?? "";
    assert.equal((await server.call(path, { method: "POST", token, body })).statusCode, 403);
    assert.equal((await server.call(path, { token })).statusCode, 200);
    const unscoped = await server.token("admin", ADMIN_PASSWORD, "unscoped");
    const own = `/users/${server.ids.adminUserId}/application_credentials`;
    assert.equal((await server.call(own, { method: "POST", token: unscoped, body })).statusCode, 403);
  });
});

describe("declared rules", () => {
  it("are all used by a route, and every route names declared rules only", async () => {
    const opened = await openSqlite(testMigrations);
    const server = await identityServer(opened.store);
    const declared = new Set(server.service.manifest.policies.map((rule) => rule.name));
    const used = new Set(server.http.routeTable.flatMap((row) => row.policy));
    assert.deepEqual(
      [...declared].filter((name) => name !== "admin_required" && !used.has(name)),
      [],
    );
    assert.deepEqual(
      [...used].filter((name) => !declared.has(name)),
      [],
    );
    await opened.dispose();
  });
});
