import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { openSqlite, type TestStore } from "../../kernel/store/testing/stores.ts";
import {
  ADMIN_PASSWORD,
  DEMO_PASSWORD,
  type IdentityServer,
  identityServer,
  testMigrations,
} from "../../services/identity/testing/identity-server.ts";
import { type CloudLogin, cliMissing, type OpenStackCli, openstackCli } from "./support/openstack-cli.ts";

interface Named {
  readonly ID: string;
  readonly Name: string;
}

describe("identity, as the openstack client sees it", { skip: cliMissing }, () => {
  let testStore: TestStore;
  let server: IdentityServer;
  let admin: OpenStackCli;
  let authUrl: string;
  const clients: OpenStackCli[] = [];

  const clientFor = async (login: CloudLogin, userDomain?: string): Promise<OpenStackCli> => {
    const cli = await openstackCli({ authUrl, login, ...(userDomain === undefined ? {} : { userDomain }) });
    clients.push(cli);
    return cli;
  };

  before(async () => {
    testStore = await openSqlite(testMigrations);
    server = await identityServer(testStore.store);
    const baseUrl = await server.http.listen({ host: "127.0.0.1", port: 0 });
    await server.service.bootstrap({ baseUrl });
    authUrl = `${baseUrl}/identity`;
    admin = await clientFor({ username: "admin", password: ADMIN_PASSWORD, scope: { project: "admin" } });
  });

  after(async () => {
    await Promise.all(clients.map((cli) => cli.dispose()));
    await server.close();
    await testStore.dispose();
  });

  it("issues and revokes tokens", async () => {
    const token = await admin.json<{ id: string; project_id: string; user_id: string; expires: string }>([
      "token",
      "issue",
    ]);
    assert.equal(token.project_id, server.ids.adminProjectId);
    assert.equal(token.user_id, server.ids.adminUserId);
    await admin.ok(["token", "revoke", token.id]);
    const wrong = await clientFor({ username: "admin", password: "wrong", scope: { project: "admin" } });
    const refused = await wrong(["token", "issue"]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /401/);
  });

  it("shows catalog, services, endpoints and regions", async () => {
    const catalog = await admin.json<{ Name: string; Type: string; Endpoints: { url: string }[] }[]>([
      "catalog",
      "list",
    ]);
    assert.deepEqual(catalog.map((entry) => entry.Type).sort(), ["compute", "identity", "volumev3"]);
    const volume = catalog.find((entry) => entry.Type === "volumev3");
    assert.ok(volume?.Endpoints.every((endpoint) => endpoint.url.endsWith(`/volume/v3/${server.ids.adminProjectId}`)));
    assert.equal((await admin.json<unknown[]>(["endpoint", "list"])).length, 9);
    const service = await admin.json<{ id: string; type: string; name: string }>([
      "service",
      "create",
      "--name",
      "heat",
      "--description",
      "Orchestration",
      "orchestration",
    ]);
    assert.equal(service.type, "orchestration");
    assert.equal(service.name, "heat");
    await admin.ok(["region", "create", "--description", "the second", "RegionTwo"]);
    const endpoint = await admin.json<{ id: string; region: string; service_type: string }>([
      "endpoint",
      "create",
      "--region",
      "RegionTwo",
      "heat",
      "public",
      "http://10.0.0.1:8004/v1/%(tenant_id)s",
    ]);
    assert.equal(endpoint.region, "RegionTwo");
    assert.equal(endpoint.service_type, "orchestration");
    const inUse = await admin(["region", "delete", "RegionTwo"]);
    assert.notEqual(inUse.code, 0);
    await admin.ok(["endpoint", "set", "--disable", endpoint.id]);
    await admin.ok(["endpoint", "delete", endpoint.id]);
    await admin.ok(["region", "set", "--description", "changed", "RegionTwo"]);
    const region = await admin.json<{ description: string }>(["region", "show", "RegionTwo"]);
    assert.equal(region.description, "changed");
    await admin.ok(["region", "delete", "RegionTwo"]);
    await admin.ok(["service", "set", "--disable", "heat"]);
    await admin.ok(["service", "delete", "heat"]);
  });

  it("manages domains, projects, users and groups", async () => {
    const domain = await admin.json<{ id: string; name: string }>(["domain", "create", "Lab"]);
    assert.equal(domain.name, "Lab");
    const project = await admin.json<{ id: string; domain_id: string; parent_id: string; tags: string[] }>([
      "project",
      "create",
      "--domain",
      "Lab",
      "--description",
      "first",
      "--tag",
      "blue",
      "one",
    ]);
    assert.equal(project.domain_id, domain.id);
    assert.equal(project.parent_id, domain.id);
    assert.deepEqual(project.tags, ["blue"]);
    const child = await admin.json<{ parent_id: string }>([
      "project",
      "create",
      "--domain",
      "Lab",
      "--parent",
      project.id,
      "two",
    ]);
    assert.equal(child.parent_id, project.id);
    assert.deepEqual(
      (await admin.json<Named[]>(["project", "list", "--tags", "blue"])).map((each) => each.Name),
      ["one"],
    );
    await admin.ok(["project", "set", "--domain", "Lab", "--property", "cost=42", "--name", "uno", "one"]);
    const shown = await admin.json<Record<string, unknown>>(["project", "show", "--domain", "Lab", "uno"]);
    assert.equal(shown.cost, "42");
    const user = await admin.json<Record<string, unknown>>([
      "user",
      "create",
      "--domain",
      "Lab",
      "--password",
      "s3cret",
      "--email",
      "ann@example.com",
      "ann",
    ]);
    assert.equal(user.email, "ann@example.com");
    assert.equal(user.password, undefined);
    await admin.ok(["group", "create", "--domain", "Lab", "crew"]);
    await admin.ok(["group", "add", "user", "--group-domain", "Lab", "--user-domain", "Lab", "crew", "ann"]);
    assert.match(
      (await admin.ok(["group", "contains", "user", "--group-domain", "Lab", "--user-domain", "Lab", "crew", "ann"]))
        .stdout,
      /ann in group crew/,
    );
    const members = await admin.json<Named[]>(["user", "list", "--domain", "Lab", "--group", "crew"]);
    assert.deepEqual(
      members.map((each) => each.Name),
      ["ann"],
    );
    await admin.ok(["user", "set", "--domain", "Lab", "--disable", "ann"]);
    assert.equal((await admin.json<{ enabled: boolean }>(["user", "show", "--domain", "Lab", "ann"])).enabled, false);
    await admin.ok(["group", "remove", "user", "--group-domain", "Lab", "--user-domain", "Lab", "crew", "ann"]);
    await admin.ok(["group", "set", "--domain", "Lab", "--description", "all hands", "crew"]);
    await admin.ok(["group", "delete", "--domain", "Lab", "crew"]);
    await admin.ok(["user", "delete", "--domain", "Lab", "ann"]);
    const nonLeaf = await admin(["project", "delete", "--domain", "Lab", "uno"]);
    assert.notEqual(nonLeaf.code, 0);
    const enabled = await admin(["domain", "delete", "Lab"]);
    assert.notEqual(enabled.code, 0);
    await admin.ok(["domain", "set", "--disable", "Lab"]);
    await admin.ok(["domain", "delete", "Lab"]);
    const left = await admin.json<Named[]>(["project", "list"]);
    assert.deepEqual(left.map((each) => each.Name).sort(), ["admin", "demo", "service"]);
  });

  it("grants and lists roles", async () => {
    await admin.ok(["role", "create", "observer"]);
    await admin.ok(["role", "set", "--name", "watcher", "observer"]);
    await admin.ok(["role", "add", "--project", "demo", "--user", "demo", "watcher"]);
    const rows = await admin.json<Record<string, string>[]>(["role", "assignment", "list", "--names"]);
    const row = rows.find((each) => each.Role === "watcher");
    assert.equal(row?.User, "demo@Default");
    assert.equal(row?.Project, "demo@Default");
    assert.ok(rows.some((each) => each.Role === "admin" && each.System === "all"));
    const effective = await admin.json<Record<string, string>[]>([
      "role",
      "assignment",
      "list",
      "--names",
      "--effective",
      "--user",
      "demo",
      "--project",
      "demo",
    ]);
    assert.deepEqual(effective.map((each) => each.Role).sort(), ["member", "reader", "watcher"]);
    await admin.ok(["role", "remove", "--project", "demo", "--user", "demo", "watcher"]);
    await admin.ok(["role", "add", "--system", "all", "--user", "demo", "watcher"]);
    await admin.ok(["role", "remove", "--system", "all", "--user", "demo", "watcher"]);
    await admin.ok(["implied", "role", "create", "--implied-role", "reader", "watcher"]);
    assert.ok((await admin.json<unknown[]>(["implied", "role", "list"])).length >= 4);
    await admin.ok(["implied", "role", "delete", "--implied-role", "reader", "watcher"]);
    await admin.ok(["role", "delete", "watcher"]);
    const immutable = await admin(["role", "delete", "member"]);
    assert.match(immutable.stderr, /403/);
  });

  it("serves ordinary users, and their application credentials", async () => {
    const demo = await clientFor({ username: "demo", password: DEMO_PASSWORD, scope: { project: "demo" } });
    assert.deepEqual(
      (await demo.json<Named[]>(["project", "list"])).map((each) => each.Name),
      ["demo"],
    );
    assert.match((await demo(["user", "list"])).stderr, /403/);
    const made = await demo.json<{ id: string; secret: string; unrestricted: boolean; roles: string }>([
      "application",
      "credential",
      "create",
      "--role",
      "member",
      "robot",
    ]);
    assert.equal(made.unrestricted, false);
    const robot = await clientFor({ applicationCredential: made });
    const token = await robot.json<{ project_id: string }>(["token", "issue"]);
    assert.equal(token.project_id, server.ids.demoProjectId);
    assert.match((await robot(["application", "credential", "create", "more"])).stderr, /403/);
    assert.equal((await demo.json<unknown[]>(["application", "credential", "list"])).length, 1);
    await demo.ok(["application", "credential", "delete", "robot"]);
    assert.notEqual((await robot(["token", "issue"])).code, 0);
    await demo.ok(["user", "password", "set", "--original-password", DEMO_PASSWORD, "--password", "changed"]);
    const again = await clientFor({ username: "demo", password: "changed", scope: { project: "demo" } });
    await again.ok(["token", "issue"]);
  });

  it("logs in with system, domain and no scope", async () => {
    const login = { username: "admin", password: ADMIN_PASSWORD };
    const system = await clientFor({ ...login, scope: { system: true } });
    assert.equal((await system.json<{ system: string }>(["token", "issue"])).system, "all");
    await admin.ok(["role", "add", "--domain", "Default", "--user", "admin", "reader"]);
    const domain = await clientFor({ ...login, scope: { domain: "Default" } });
    assert.equal((await domain.json<{ domain_id: string }>(["token", "issue"])).domain_id, "default");
    assert.equal((await domain.json<unknown[]>(["user", "list"])).length, 2);
    await admin.ok(["role", "remove", "--domain", "Default", "--user", "admin", "reader"]);
  });
});
