import assert from "node:assert/strict";
import { before, it } from "node:test";
import { ManualClock } from "../../../kernel/clock/manual-clock.ts";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import {
  ADMIN_PASSWORD,
  DEMO_PASSWORD,
  type IdentityServer,
  identityServer,
  testMigrations,
} from "../testing/identity-server.ts";

const DEFAULT = { id: "default" };

onBothStores("failed logins", (open) => {
  const clock = new ManualClock();
  let server: IdentityServer;
  let admin: string;
  let disabledDomain: string;

  before(async () => {
    const { store } = await open(testMigrations);
    server = await identityServer(store, { clock });
    admin = await server.adminToken();
    const post = (path: string, body: unknown) => server.call(path, { method: "POST", token: admin, body });
    disabledDomain = (await post("/domains", { domain: { name: "Off", enabled: false } })).json().domain.id;
    await post("/users", { user: { name: "off", enabled: false, password: "pw" } });
    await post("/users", { user: { name: "lost", domain_id: disabledDomain, password: "pw" } });
    await post("/projects", { project: { name: "closed", enabled: false } });
  });

  const password = (user: unknown) => ({ methods: ["password"], password: { user } });
  const demo = password({ name: "demo", domain: DEFAULT, password: DEMO_PASSWORD });
  const logIn = (auth: unknown) => server.call("/auth/tokens", { method: "POST", body: { auth } });

  const rows: readonly [string, number, () => unknown][] = [
    ["identity is missing", 400, () => ({})],
    ["methods is missing", 400, () => ({ identity: {} })],
    ["methods is no list", 400, () => ({ identity: { methods: "password" } })],
    ["zero methods", 400, () => ({ identity: { methods: [] } })],
    ["a method without its object", 400, () => ({ identity: { methods: ["password"] } })],
    ["neither id nor name", 400, () => ({ identity: password({ password: "x" }) })],
    ["a name without domain", 400, () => ({ identity: password({ name: "demo", password: "x" }) })],
    ["a project name without domain", 400, () => ({ identity: demo, scope: { project: { name: "demo" } } })],
    ["an empty scope", 400, () => ({ identity: demo, scope: {} })],
    ["two scopes", 400, () => ({ identity: demo, scope: { system: { all: true }, domain: DEFAULT } })],
    ["an unknown user", 401, () => ({ identity: password({ name: "nobody", domain: DEFAULT, password: "x" }) })],
    ["an unknown domain", 401, () => ({ identity: password({ name: "demo", domain: { id: "none" }, password: "x" }) })],
    ["a disabled user", 401, () => ({ identity: password({ name: "off", domain: DEFAULT, password: "pw" }) })],
    [
      "a disabled domain",
      401,
      () => ({ identity: password({ name: "lost", domain: { name: "Off" }, password: "pw" }) }),
    ],
    ["a wrong password", 401, () => ({ identity: password({ name: "demo", domain: DEFAULT, password: "x" }) })],
    ["an unknown project", 401, () => ({ identity: demo, scope: { project: { id: "none" } } })],
    ["a disabled project", 401, () => ({ identity: demo, scope: { project: { name: "closed", domain: DEFAULT } } })],
    ["an unknown domain as scope", 401, () => ({ identity: demo, scope: { domain: { id: "none" } } })],
    ["a disabled domain as scope", 401, () => ({ identity: demo, scope: { domain: { id: disabledDomain } } })],
    ["no role on the project", 401, () => ({ identity: demo, scope: { project: { name: "admin", domain: DEFAULT } } })],
    ["no role on the domain", 401, () => ({ identity: demo, scope: { domain: DEFAULT } })],
    ["no role on the system", 401, () => ({ identity: demo, scope: { system: { all: true } } })],
    ["an invalid token as method", 404, () => ({ identity: { methods: ["token"], token: { id: "a.b.c" } } })],
    ["a token without id", 400, () => ({ identity: { methods: ["token"], token: {} } })],
    [
      "an unknown application credential",
      404,
      () => ({
        identity: { methods: ["application_credential"], application_credential: { id: "none", secret: "x" } },
      }),
    ],
    [
      "an unknown application credential by name",
      401,
      () => ({
        identity: {
          methods: ["application_credential"],
          application_credential: { name: "none", secret: "x", user: { name: "demo", domain: DEFAULT } },
        },
      }),
    ],
    [
      "an application credential without id or name",
      400,
      () => ({ identity: { methods: ["application_credential"], application_credential: { secret: "x" } } }),
    ],
  ];

  for (const [what, status, auth] of rows) {
    it(`${what}: ${status}`, async () => {
      const reply = await logIn(auth());
      assert.equal(reply.statusCode, status, reply.body);
      const { error } = reply.json();
      assert.equal(error.code, status);
      assert.ok(!JSON.stringify(error).includes("demo"));
      assert.equal(reply.headers["www-authenticate"] !== undefined, status === 401);
      assert.equal(reply.headers["x-subject-token"], undefined);
    });
  }

  it("names the supported methods when it does not know one", async () => {
    const reply = await logIn({ identity: { methods: ["totp"], totp: {} } });
    assert.equal(reply.statusCode, 401);
    assert.deepEqual(reply.json().error.identity.methods, ["password", "token", "application_credential"]);
  });

  it("says the same about an unknown user and a wrong password", async () => {
    const unknown = await logIn({ identity: password({ name: "nobody", domain: DEFAULT, password: "x" }) });
    const wrong = await logIn({ identity: password({ name: "demo", domain: DEFAULT, password: "x" }) });
    assert.equal(unknown.body, wrong.body);
  });

  it("refuses to take a system-scoped token to a project", async () => {
    const system = await server.token("admin", ADMIN_PASSWORD, { system: { all: true } });
    const reply = await logIn({
      identity: { methods: ["token"], token: { id: system } },
      scope: { project: { id: server.ids.adminProjectId } },
    });
    assert.equal(reply.statusCode, 403);
  });

  it("keeps the end of a token through rescoping, and appends to its audit chain", async () => {
    const first = await logIn({ identity: demo, scope: "unscoped" });
    assert.equal(first.json().token.project, undefined);
    assert.equal(first.json().token.catalog, undefined);
    clock.advance(60_000);
    const second = await logIn({
      identity: { methods: ["token"], token: { id: first.headers["x-subject-token"] } },
      scope: { project: { id: server.ids.demoProjectId } },
    });
    assert.equal(second.statusCode, 201);
    const { token } = second.json();
    assert.deepEqual(token.methods, ["token", "password"]);
    assert.equal(token.expires_at, first.json().token.expires_at);
    assert.equal(token.audit_ids.length, 2);
    assert.equal(token.audit_ids[1], first.json().token.audit_ids[0]);
  });

  it("takes the default project when no scope is named", async () => {
    const reply = await logIn({ identity: demo });
    assert.equal(reply.json().token.project.id, server.ids.demoProjectId);
  });

  it("refuses expired tokens, but tells services about them for a while", async () => {
    const demoToken = await server.token("demo", DEMO_PASSWORD);
    clock.advance(3_600_001);
    const fresh = await server.adminToken();
    const about = { "x-subject-token": demoToken };
    assert.equal((await server.call("/auth/tokens", { token: fresh, headers: about })).statusCode, 404);
    const allowed = await server.call("/auth/tokens?allow_expired=1", { token: fresh, headers: about });
    assert.equal(allowed.statusCode, 200);
    assert.equal((await server.call("/auth/projects", { token: demoToken })).statusCode, 401);
  });

  it("refuses expired passwords and missing factors", async () => {
    const strict = await identityServer((await open(testMigrations)).store, { clock, passwordLifeMs: 60_000 });
    const token = await strict.adminToken();
    const make = async (user: Record<string, unknown>) =>
      (await strict.call("/users", { method: "POST", token, body: { user: { password: "pw", ...user } } })).json().user;
    const expiring = await make({ name: "expiring" });
    assert.equal(Date.parse(`${expiring.password_expires_at}Z`), clock.now() + 60_000);
    await make({ name: "exempt", options: { ignore_password_expiry: true } });
    await make({
      name: "careful",
      options: { multi_factor_auth_enabled: true, multi_factor_auth_rules: [["password", "totp"]] },
    });
    await strict.token("expiring", "pw");
    await assert.rejects(strict.token("careful", "pw"), /401/);
    clock.advance(60_001);
    await assert.rejects(strict.token("expiring", "pw"), /401/);
    await strict.token("exempt", "pw");
  });

  it("limits tokens of an application credential, in scope and in time", async () => {
    const demoToken = await server.token("demo", DEMO_PASSWORD);
    const user = server.ids.demoUserId;
    const expires = new Date(clock.now() + 60_000).toISOString();
    const made = await server.call(`/users/${user}/application_credentials`, {
      method: "POST",
      token: demoToken,
      body: { application_credential: { name: "short", expires_at: expires, roles: [{ name: "reader" }] } },
    });
    assert.equal(made.statusCode, 201, made.body);
    const { id, secret } = made.json().application_credential;
    const identity = { methods: ["application_credential"], application_credential: { id, secret } };
    assert.equal((await logIn({ identity, scope: { project: { id: server.ids.demoProjectId } } })).statusCode, 401);
    const reply = await logIn({ identity });
    const { token } = reply.json();
    assert.equal(token.application_credential.restricted, true);
    assert.deepEqual(
      token.roles.map((role: { name: string }) => role.name),
      ["reader"],
    );
    assert.equal(Date.parse(token.expires_at), clock.now() + 60_000);
    const source = { methods: ["token"], token: { id: reply.headers["x-subject-token"] } };
    assert.equal((await logIn({ identity: source, scope: "unscoped" })).statusCode, 403);
    const wrong = { methods: ["application_credential"], application_credential: { id, secret: "x" } };
    assert.equal((await logIn({ identity: wrong })).statusCode, 401);
    clock.advance(60_001);
    assert.equal((await logIn({ identity })).statusCode, 401);
  });
});
