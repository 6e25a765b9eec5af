import assert from "node:assert/strict";
import { it } from "node:test";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import { ADMIN_PASSWORD, DEMO_PASSWORD, identityServer, testMigrations } from "../testing/identity-server.ts";

onBothStores("tokens", (open) => {
  it("answers a login with a body that names user, project, roles and catalog", async () => {
    const { store } = await open(testMigrations);
    const server = await identityServer(store);
    const reply = await server.call("/auth/tokens", {
      method: "POST",
      body: {
        auth: {
          identity: {
            methods: ["password"],
            password: { user: { name: "Admin", domain: { name: "Default" }, password: ADMIN_PASSWORD } },
          },
          scope: { project: { name: "admin", domain: { id: "default" } } },
        },
      },
    });
    assert.equal(reply.statusCode, 201);
    const { token } = reply.json();
    assert.deepEqual(token.methods, ["password"]);
    assert.deepEqual(token.user.domain, { id: "default", name: "Default" });
    assert.deepEqual(
      token.roles.map((role: { name: string }) => role.name),
      ["admin", "manager", "member", "reader"],
    );
    assert.equal(token.project.id, server.ids.adminProjectId);
    assert.equal(token.is_domain, false);
    assert.match(token.expires_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    const volume = token.catalog.find((entry: { type: string }) => entry.type === "volumev3");
    assert.equal(volume.endpoints.length, 3);
    assert.equal(volume.endpoints[0].url, `http://cloud.test/volume/v3/${server.ids.adminProjectId}`);
    assert.ok(String(reply.headers["x-subject-token"]).length < 1024);
    assert.ok(String(reply.headers.vary).includes("X-Auth-Token"));
    await server.close();
  });

  it("validates, checks and revokes", async () => {
    const { store } = await open(testMigrations);
    const server = await identityServer(store);
    const admin = await server.adminToken();
    const demo = await server.token("demo", DEMO_PASSWORD);
    const about = (token: string) => ({ "x-subject-token": token });
    const shown = await server.call("/auth/tokens", { token: admin, headers: about(demo) });
    assert.equal(shown.statusCode, 200);
    assert.equal(shown.json().token.project.id, server.ids.demoProjectId);
    assert.equal(shown.headers["x-subject-token"], demo);
    const checked = await server.call("/auth/tokens", { method: "HEAD", token: admin, headers: about(demo) });
    assert.equal(checked.statusCode, 200);
    assert.equal(checked.body, "");
    const foreign = await server.call("/auth/tokens", { token: demo, headers: about(admin) });
    assert.equal(foreign.statusCode, 403);
    const deleted = await server.call("/auth/tokens", { method: "DELETE", token: demo, headers: about(demo) });
    assert.equal(deleted.statusCode, 204);
    const gone = await server.call("/auth/tokens", { token: admin, headers: about(demo) });
    assert.equal(gone.statusCode, 404);
    const refused = await server.call("/auth/tokens", { token: demo, headers: about(demo) });
    assert.equal(refused.statusCode, 401);
    assert.equal(refused.headers["www-authenticate"], 'Keystone uri="http://cloud.test/identity/v3"');
    await server.close();
  });
});
