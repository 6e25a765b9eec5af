import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { openSqlite, type TestStore } from "../../../kernel/store/testing/stores.ts";
import { ADMIN_PASSWORD, type IdentityServer, identityServer, testMigrations } from "../testing/identity-server.ts";
import { hasShape, sample } from "../testing/samples.ts";

describe("published samples", () => {
  let opened: TestStore;
  let server: IdentityServer;
  let admin: string;
  const ids = { project: "", group: "", user: "", domain: "default", role: "", implied: "", service: "", endpoint: "" };

  const send = async (method: "POST" | "PUT", path: string, body?: unknown) => {
    const reply = await server.call(path, { method, token: admin, ...(body === undefined ? {} : { body }) });
    assert.ok(reply.statusCode < 300, `${method} ${path}: ${reply.statusCode} ${reply.body}`);
    return reply.statusCode === 204 ? {} : reply.json();
  };

  before(async () => {
    opened = await openSqlite(testMigrations);
    server = await identityServer(opened.store);
    admin = await server.adminToken();
    ids.user = server.ids.adminUserId;
    ids.project = server.ids.adminProjectId;
    await send("POST", "/projects", { project: { name: "below", parent_id: ids.project } });
    const { roles } = (await server.call("/roles", { token: admin })).json();
    ids.role = roles.find((each: { name: string }) => each.name === "admin").id;
    ids.implied = roles.find((each: { name: string }) => each.name === "manager").id;
    const { projects } = (await server.call("/projects?name=below", { token: admin })).json();
    await send("PUT", `/projects/${projects[0].id}/users/${ids.user}/roles/${ids.role}`);
    ids.group = (await send("POST", "/groups", { group: { name: "crew" } })).group.id;
    await send("PUT", `/groups/${ids.group}/users/${ids.user}`);
    ids.service = (await server.call("/services", { token: admin })).json().services[0].id;
    ids.endpoint = (await server.call("/endpoints", { token: admin })).json().endpoints[0].id;
    await send("POST", `/users/${ids.user}/application_credentials`, {
      application_credential: {
        name: "monitoring",
        access_rules: [{ path: "/v2.0/metrics", method: "GET", service: "monitoring" }],
      },
    });
  });
  after(async () => {
    await server.close();
    await opened.dispose();
  });

  /** `federated` belongs to federation, which there is none of; the description of users and services is optional. */
  const rows: readonly (readonly [name: string, path: () => string, stale?: readonly string[]])[] = [
    ["projects-list-response", () => "/projects"],
    ["project-show-subtree-response", () => `/projects/${ids.project}?subtree_as_list`],
    ["domain-show-response", () => "/domains/default"],
    ["user-show-response", () => `/users/${ids.user}`, ["federated"]],
    ["users-list-response", () => "/users"],
    ["group-show-response", () => `/groups/${ids.group}`],
    ["groups-list-response", () => "/groups"],
    ["role-show-response", () => `/roles/${ids.role}`],
    ["roles-list-response", () => "/roles"],
    ["role-inferences-response", () => "/role_inferences"],
    ["get-role-inferences-response", () => `/roles/${ids.role}/implies/${ids.implied}`],
    ["service-show-response", () => `/services/${ids.service}`, ["description"]],
    ["services-list-response", () => "/services", ["description"]],
    ["endpoint-show-response", () => `/endpoints/${ids.endpoint}`],
    ["endpoints-list-response", () => "/endpoints"],
    ["region-show-response", () => "/regions/RegionOne"],
    ["regions-list-response", () => "/regions"],
    ["role-assignments-list-response", () => `/role_assignments?scope.project.id=${ids.project}`, ["domain"]],
    ["project-user-roles-list-response", () => `/projects/${ids.project}/users/${ids.user}/roles`],
    ["list-system-roles-for-user-response", () => `/system/users/${ids.user}/roles`],
    ["application-credential-list-response", () => `/users/${ids.user}/application_credentials`],
    ["access-rules-list-response", () => `/users/${ids.user}/access_rules`],
    ["get-service-catalog-response", () => "/auth/catalog"],
    ["get-available-project-scopes-response", () => "/auth/projects"],
    ["get-available-system-scopes-response", () => "/auth/system"],
  ];

  for (const [name, path, stale = []] of rows) {
    it(name, async () => {
      const reply = await server.call(path(), { token: admin });
      assert.equal(reply.statusCode, 200, reply.body);
      hasShape(reply.json(), sample(name), stale);
    });
  }

  const scopes: readonly (readonly [name: string, scope: () => unknown])[] = [
    ["auth-responses/unscoped-password", () => "unscoped"],
    ["auth-responses/project-scoped-password", () => ({ project: { id: ids.project } })],
    ["auth-responses/system-scoped-password", () => ({ system: { all: true } })],
    ["auth-responses/domain-scoped-password", () => ({ domain: { id: "default" } })],
  ];

  for (const [name, scope] of scopes) {
    it(name, async () => {
      await send("PUT", `/domains/default/users/${ids.user}/roles/${ids.role}`);
      const user = { id: ids.user, password: ADMIN_PASSWORD };
      const auth = { identity: { methods: ["password"], password: { user } }, scope: scope() };
      const reply = await server.call("/auth/tokens", { method: "POST", body: { auth } });
      assert.equal(reply.statusCode, 201, reply.body);
      hasShape(reply.json(), sample(name));
    });
  }

  it("identity-versions-response", async () => {
    const reply = await server.http.inject({ url: "/identity", headers: { host: "cloud.test" } });
    assert.equal(reply.statusCode, 300);
    assert.equal(reply.headers.location, "http://cloud.test/identity/v3/");
    hasShape(reply.json(), sample("identity-versions-response"));
    const versioned = await server.call("/");
    assert.equal(versioned.json().version.links[0].href, "http://cloud.test/identity/v3/");
  });
});
