import assert from "node:assert/strict";
import { before, it } from "node:test";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import { DEMO_PASSWORD, type IdentityServer, identityServer, testMigrations } from "../testing/identity-server.ts";

onBothStores("revocation", (open) => {
  let server: IdentityServer;
  /** A second server process on the same database (on SQLite the same store). */
  let other: IdentityServer;
  let admin: string;
  let number = 0;

  before(async () => {
    const opened = await open(testMigrations);
    server = await identityServer(opened.store);
    other = await identityServer(await opened.again());
    admin = await server.adminToken();
  });

  const send = async (method: "POST" | "PUT" | "PATCH" | "DELETE", path: string, body?: unknown) => {
    const reply = await server.call(path, { method, token: admin, ...(body === undefined ? {} : { body }) });
    assert.ok(reply.statusCode < 300, `${method} ${path}: ${reply.statusCode} ${reply.body}`);
    return reply;
  };

  /** A user with the role member on a project of its own. */
  const person = async () => {
    number += 1;
    const name = `person-${number}`;
    const userId = (await send("POST", "/users", { user: { name, password: "pw" } })).json().user.id;
    const projectId = (await send("POST", "/projects", { project: { name } })).json().project.id;
    const roles = (await server.call("/roles", { token: admin })).json().roles;
    const role = (wanted: string): string => roles.find((each: { name: string }) => each.name === wanted).id;
    const grant = `/projects/${projectId}/users/${userId}/roles/${role("member")}`;
    await send("PUT", grant);
    const logIn = () => server.token(name, "pw", { project: { id: projectId } });
    return { userId, projectId, grant, role, logIn, token: await logIn() };
  };

  const status = async (at: IdentityServer, token: string) => (await at.call("/auth/projects", { token })).statusCode;

  /** Refused here at once, and by the other server soon. */
  const assertRefused = async (token: string) => {
    assert.equal(await status(server, token), 401);
    const subject = await server.call("/auth/tokens", { token: admin, headers: { "x-subject-token": token } });
    assert.equal(subject.statusCode, 404);
    for (let attempt = 0; (await status(other, token)) !== 401; attempt += 1) {
      assert.ok(attempt < 200, "the other server still takes the token");
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };

  it("lets another server process verify a token", async () => {
    const { token } = await person();
    assert.equal(await status(other, token), 200);
  });

  it("follows a deleted token, and no other of the user", async () => {
    const { token, logIn } = await person();
    const second = await logIn();
    assert.equal(await status(other, token), 200);
    await server.call("/auth/tokens", { method: "DELETE", token: admin, headers: { "x-subject-token": token } });
    await assertRefused(token);
    assert.equal(await status(server, second), 200);
  });

  it("follows a disabled user", async () => {
    const { token, userId } = await person();
    await send("PATCH", `/users/${userId}`, { user: { enabled: false } });
    await assertRefused(token);
  });

  it("follows a changed password, and takes the next token", async () => {
    const { token, userId, projectId } = await person();
    const change = await server.call(`/users/${userId}/password`, {
      method: "POST",
      body: { user: { original_password: "pw", password: "new" } },
    });
    assert.equal(change.statusCode, 204);
    await assertRefused(token);
    const shown = (await server.call(`/users/${userId}`, { token: admin })).json().user;
    const next = await other.token(shown.name, "new", { project: { id: projectId } });
    assert.equal(await status(server, next), 200);
    assert.equal(await status(other, next), 200);
  });

  it("follows a deleted user", async () => {
    const { token, userId } = await person();
    await send("DELETE", `/users/${userId}`);
    await assertRefused(token);
  });

  it("follows a disabled project", async () => {
    const { token, projectId } = await person();
    await send("PATCH", `/projects/${projectId}`, { project: { enabled: false } });
    await assertRefused(token);
  });

  it("reads the roles again when one was taken away, and refuses when none is left", async () => {
    const { token, userId, projectId, grant, role } = await person();
    const extra = `/projects/${projectId}/users/${userId}/roles/${role("manager")}`;
    await send("PUT", extra);
    const subject = async () =>
      (await server.call("/auth/tokens", { token: admin, headers: { "x-subject-token": token } })).json().token.roles
        .length;
    assert.equal(await subject(), 3);
    await send("DELETE", extra);
    assert.equal(await subject(), 2);
    assert.equal(await status(server, token), 200);
    await send("DELETE", grant);
    await assertRefused(token);
  });

  it("follows membership in a group", async () => {
    const { userId, projectId, grant, role, token } = await person();
    const group = (await send("POST", "/groups", { group: { name: `group-${number}` } })).json().group.id;
    await send("PUT", `/groups/${group}/users/${userId}`);
    await send("PUT", `/projects/${projectId}/groups/${group}/roles/${role("reader")}`);
    await send("DELETE", grant);
    assert.equal(await status(server, token), 200);
    await send("DELETE", `/groups/${group}/users/${userId}`);
    await assertRefused(token);
  });

  it("follows a disabled domain for its users and its projects", async () => {
    const domain = (await send("POST", "/domains", { domain: { name: `domain-${number}` } })).json().domain.id;
    const user = (await send("POST", "/users", { user: { name: "u", domain_id: domain, password: "pw" } })).json().user;
    const body = { identity: { methods: ["password"], password: { user: { id: user.id, password: "pw" } } } };
    const reply = await server.call("/auth/tokens", { method: "POST", body: { auth: body } });
    const token = String(reply.headers["x-subject-token"]);
    assert.equal(await status(server, token), 200);
    await send("PATCH", `/domains/${domain}`, { domain: { enabled: false } });
    await assertRefused(token);
    await send("DELETE", `/domains/${domain}`);
    assert.equal((await server.call(`/users/${user.id}`, { token: admin })).statusCode, 404);
  });

  it("follows a deleted application credential", async () => {
    const demo = await server.token("demo", DEMO_PASSWORD);
    const path = `/users/${server.ids.demoUserId}/application_credentials`;
    const made = await server.call(path, {
      method: "POST",
      token: demo,
      body: { application_credential: { name: "robot" } },
    });
    const { id, secret } = made.json().application_credential;
    const identity = { methods: ["application_credential"], application_credential: { id, secret } };
    const reply = await server.call("/auth/tokens", { method: "POST", body: { auth: { identity } } });
    const token = String(reply.headers["x-subject-token"]);
    assert.equal(await status(server, token), 200);
    assert.equal((await server.call(`${path}/${id}`, { method: "DELETE", token: demo })).statusCode, 204);
    await assertRefused(token);
  });

  it("lets an application credential with access rules do what they name and nothing else", async () => {
    const demo = await server.token("demo", DEMO_PASSWORD);
    const made = await server.call(`/users/${server.ids.demoUserId}/application_credentials`, {
      method: "POST",
      token: demo,
      body: {
        application_credential: {
          name: "narrow",
          access_rules: [{ path: "/v3/auth/projects", method: "GET", service: "identity" }],
        },
      },
    });
    const { id, secret, access_rules } = made.json().application_credential;
    assert.equal(access_rules.length, 1);
    const identity = { methods: ["application_credential"], application_credential: { id, secret } };
    const reply = await server.call("/auth/tokens", { method: "POST", body: { auth: { identity } } });
    const token = String(reply.headers["x-subject-token"]);
    assert.equal(await status(server, token), 200);
    assert.equal((await server.call("/auth/catalog", { token })).statusCode, 401);
    const about = { "x-subject-token": token };
    assert.equal((await server.call("/auth/tokens", { token: admin, headers: about })).statusCode, 404);
    const headers = { ...about, "openstack-identity-access-rules": "1.0" };
    const shown = await server.call("/auth/tokens", { token: admin, headers });
    assert.equal(shown.json().token.application_credential.access_rules[0].path, "/v3/auth/projects");
  });

  it("keeps older tokens valid when the signing key changes", async () => {
    const { token, logIn } = await person();
    await server.service.rotateSigningKey();
    const next = await logIn();
    assert.notEqual(next.split(".")[0], token.split(".")[0]);
    for (const each of [token, next]) assert.equal(await status(server, each), 200);
    assert.equal(await status(other, token), 200);
  });

  it("takes no token that was changed or that somebody else signed", async () => {
    const { token } = await person();
    const [header = "", payload = "", signature = ""] = token.split(".");
    const claims = { ...JSON.parse(Buffer.from(payload, "base64url").toString()), r: ["admin"] };
    const forged = Buffer.from(JSON.stringify(claims)).toString("base64url");
    const none = Buffer.from(JSON.stringify({ alg: "none" })).toString("base64url");
    for (const bad of [
      `${header}.${forged}.${signature}`,
      `${none}.${forged}.`,
      `${header}.${payload}.`,
      "gAAAAA",
      "é",
    ]) {
      assert.equal(await status(server, bad), 401);
    }
  });
});
