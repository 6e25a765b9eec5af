import assert from "node:assert/strict";
import { before, it } from "node:test";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import { type Call, type IdentityServer, identityServer, testMigrations } from "../testing/identity-server.ts";

onBothStores("resources", (open) => {
  let server: IdentityServer;
  let admin: string;

  before(async () => {
    server = await identityServer((await open(testMigrations)).store);
    admin = await server.adminToken();
  });

  const send = (method: NonNullable<Call["method"]>, path: string, body?: unknown) =>
    server.call(path, { method, token: admin, ...(body === undefined ? {} : { body }) });
  const get = async (path: string) => (await send("GET", path)).json();
  const expectStatus = async (status: number, method: NonNullable<Call["method"]>, path: string, body?: unknown) => {
    const reply = await send(method, path, body);
    assert.equal(reply.statusCode, status, `${method} ${path}: ${reply.body}`);
    return reply.body === "" ? {} : reply.json();
  };
  const makeProject = async (project: Record<string, unknown>) =>
    (await expectStatus(201, "POST", "/projects", { project })).project;

  it("names are unique without regard to case, and found likewise", async () => {
    await makeProject({ name: "Blue" });
    await expectStatus(409, "POST", "/projects", { project: { name: "bLUE" } });
    assert.equal((await get("/projects?name=BLUE")).projects[0].name, "Blue");
    assert.equal((await get("/projects?name__startswith=bl")).projects.length, 1);
    assert.equal((await get("/projects?name__icontains=LU")).projects.length, 1);
    assert.equal((await get("/projects?name__contains=%25")).projects.length, 0);
    const all = (await get("/projects")).projects.length;
    for (const name of ["constructor", "toString", "__proto__", "valueOf__contains"])
      assert.equal((await get(`/projects?${name}=1`)).projects.length, all, name);
  });

  it("keeps attributes that it does not know", async () => {
    const { id } = await makeProject({ name: "extra", colour: "red" });
    await expectStatus(200, "PATCH", `/projects/${id}`, { project: { size: 4 } });
    const { project } = await get(`/projects/${id}`);
    assert.equal(project.colour, "red");
    assert.equal(project.size, 4);
    await expectStatus(400, "PATCH", `/projects/${id}`, { project: { id: "other" } });
    await expectStatus(400, "PATCH", `/projects/${id}`, { project: { domain_id: "other" } });
    await expectStatus(403, "PATCH", `/projects/${id}`, { project: { parent_id: "other" } });
  });

  it("pages by limit and marker, and links to the next page only from a full one", async () => {
    for (const name of ["p1", "p2", "p3"]) await makeProject({ name, description: "page" });
    const seen: string[] = [];
    let path: string | null = "/projects?limit=2&name__startswith=p";
    while (path !== null) {
      const page: { projects: { name: string }[]; links: { next: string | null } } = await get(path);
      seen.push(...page.projects.map((project) => project.name));
      path = page.links.next === null ? null : page.links.next.replace("http://cloud.test/identity/v3", "");
    }
    assert.deepEqual(seen.sort(), ["p1", "p2", "p3"]);
    await expectStatus(404, "GET", "/projects?marker=unknown");
    await expectStatus(400, "GET", "/projects?limit=many");
  });

  it("hides domains among projects, and takes every word but the false ones as true", async () => {
    const names = async (query: string) =>
      (await get(`/projects${query}`)).projects.map((project: { name: string }) => project.name);
    assert.ok(!(await names("")).includes("Default"));
    assert.deepEqual(await names("?is_domain"), ["Default"]);
    await makeProject({ name: "dark", enabled: false });
    assert.deepEqual(await names("?enabled=off"), ["dark"]);
    assert.ok((await names("?enabled=")).includes("admin"));
  });

  it("nests projects up to five deep, and shows the family", async () => {
    let parent: string | undefined;
    const chain: string[] = [];
    for (let depth = 1; depth <= 5; depth += 1) {
      const made = await makeProject({ name: `deep-${depth}`, ...(parent === undefined ? {} : { parent_id: parent }) });
      chain.push(made.id);
      parent = made.id;
    }
    await expectStatus(403, "POST", "/projects", { project: { name: "deep-6", parent_id: parent } });
    const [first = "", second = ""] = chain;
    const { project } = await get(`/projects/${second}?parents_as_ids&subtree_as_ids`);
    assert.deepEqual(project.parents, { [first]: { default: null } });
    assert.deepEqual(Object.keys(project.subtree), [chain[2]]);
    await expectStatus(400, "GET", `/projects/${second}?parents_as_ids&parents_as_list`);
    await expectStatus(403, "DELETE", `/projects/${first}`);
    await expectStatus(403, "PATCH", `/projects/${first}`, { project: { enabled: false } });
    await expectStatus(400, "POST", "/projects", { project: { name: "x", parent_id: "unknown" } });
    await expectStatus(400, "POST", "/projects", { project: { name: "x", domain_id: "unknown" } });
  });

  it("filters projects by tags", async () => {
    const a = await makeProject({ name: "tag-a", tags: ["x", "y"] });
    await makeProject({ name: "tag-b", tags: ["y"] });
    const names = async (query: string) =>
      (await get(`/projects?name__startswith=tag-&${query}`)).projects
        .map((project: { name: string }) => project.name)
        .sort();
    assert.deepEqual(await names("tags=x,y"), ["tag-a"]);
    assert.deepEqual(await names("tags-any=x,y"), ["tag-a", "tag-b"]);
    assert.deepEqual(await names("not-tags=x,y"), ["tag-b"]);
    assert.deepEqual(await names("not-tags-any=x"), ["tag-b"]);
    await expectStatus(201, "PUT", `/projects/${a.id}/tags/z`);
    await expectStatus(204, "GET", `/projects/${a.id}/tags/z`);
    await expectStatus(204, "DELETE", `/projects/${a.id}/tags/z`);
    await expectStatus(404, "HEAD", `/projects/${a.id}/tags/z`);
    assert.deepEqual((await expectStatus(200, "PUT", `/projects/${a.id}/tags`, { tags: ["q"] })).tags, ["q"]);
    await expectStatus(400, "PUT", `/projects/${a.id}/tags`, { tags: ["a,b"] });
  });

  it("deletes domains with everything in them, once they are disabled", async () => {
    const { domain } = await expectStatus(201, "POST", "/domains", { domain: { name: "Doomed" } });
    const project = await makeProject({ name: "inside", domain_id: domain.id });
    assert.equal(project.parent_id, domain.id);
    const { user } = await expectStatus(201, "POST", "/users", { user: { name: "u", domain_id: domain.id } });
    const { roles } = await get("/roles?name=member");
    const grant = `/projects/${project.id}/users/${user.id}/roles/${roles[0].id}`;
    await expectStatus(204, "PUT", grant);
    await expectStatus(204, "PUT", grant);
    await expectStatus(403, "DELETE", `/domains/${domain.id}`);
    await expectStatus(200, "PATCH", `/domains/${domain.id}`, { domain: { enabled: false } });
    await expectStatus(204, "DELETE", `/domains/${domain.id}`);
    await expectStatus(404, "GET", `/users/${user.id}`);
    await expectStatus(404, "GET", `/projects/${project.id}`);
    assert.equal((await get(`/role_assignments?user.id=${user.id}`)).role_assignments.length, 0);
  });

  it("expands assignments: groups, inheritance and implied roles", async () => {
    const { domain } = await expectStatus(201, "POST", "/domains", { domain: { name: "Tree" } });
    const top = await makeProject({ name: "top", domain_id: domain.id });
    const below = await makeProject({ name: "below", domain_id: domain.id, parent_id: top.id });
    const { user } = await expectStatus(201, "POST", "/users", { user: { name: "leaf", domain_id: domain.id } });
    const { group } = await expectStatus(201, "POST", "/groups", { group: { name: "g", domain_id: domain.id } });
    await expectStatus(204, "PUT", `/groups/${group.id}/users/${user.id}`);
    const { roles } = await get("/roles?name=member");
    const inherited = `/OS-INHERIT/domains/${domain.id}/groups/${group.id}/roles/${roles[0].id}/inherited_to_projects`;
    await expectStatus(204, "PUT", inherited);
    const query = `/role_assignments?user.id=${user.id}&effective&include_names`;
    const found = (await get(query)).role_assignments;
    const lines = found.map(
      (each: { role: { name: string }; scope: { project: { name: string } } }) =>
        `${each.role.name} on ${each.scope.project.name}`,
    );
    assert.deepEqual(lines.sort(), ["member on below", "member on top", "reader on below", "reader on top"]);
    assert.equal(found[0].user.domain.name, "Tree");
    assert.ok(found[0].links.membership.endsWith(`/groups/${group.id}/users/${user.id}`));
    const tree = `/role_assignments?scope.project.id=${top.id}&include_subtree&effective`;
    assert.equal((await get(tree)).role_assignments.length, 4);
    assert.equal((await get(`/users/${user.id}/projects`)).projects.length, 2);
    await expectStatus(400, "GET", "/role_assignments?include_subtree");
    await expectStatus(400, "GET", "/role_assignments?user.id=a&group.id=b");
    await expectStatus(400, "GET", "/role_assignments?effective&group.id=b");
    await expectStatus(204, "DELETE", inherited);
    await expectStatus(404, "DELETE", inherited);
    assert.equal((await get(`/users/${user.id}/projects`)).projects.length, 0);
    assert.equal(below.parent_id, top.id);
  });

  it("guards immutable roles, and admin from being implied", async () => {
    const { roles } = await get("/roles");
    const id = (name: string): string => roles.find((role: { name: string }) => role.name === name).id;
    await expectStatus(403, "DELETE", `/roles/${id("member")}`);
    await expectStatus(403, "PATCH", `/roles/${id("member")}`, { role: { name: "x" } });
    await expectStatus(403, "PUT", `/roles/${id("reader")}/implies/${id("admin")}`);
    const { role } = await expectStatus(201, "POST", "/roles", { role: { name: "own", options: { immutable: true } } });
    await expectStatus(200, "PATCH", `/roles/${role.id}`, { role: { options: { immutable: false } } });
    await expectStatus(201, "PUT", `/roles/${role.id}/implies/${id("reader")}`);
    await expectStatus(204, "HEAD", `/roles/${role.id}/implies/${id("reader")}`);
    await expectStatus(204, "DELETE", `/roles/${role.id}/implies/${id("reader")}`);
    await expectStatus(204, "DELETE", `/roles/${role.id}`);
  });

  it("checks regions and endpoints against each other", async () => {
    await expectStatus(201, "PUT", "/regions/north", { region: {} });
    await expectStatus(409, "PUT", "/regions/north", { region: {} });
    await expectStatus(201, "POST", "/regions", { region: { id: "north-1", parent_region_id: "north" } });
    await expectStatus(400, "PATCH", "/regions/north", { region: { parent_region_id: "north-1" } });
    await expectStatus(404, "POST", "/regions", { region: { parent_region_id: "unknown" } });
    await expectStatus(400, "GET", "/regions?colour=red");
    const { service } = await expectStatus(201, "POST", "/services", { service: { type: "dns" } });
    const endpoint = { interface: "public", service_id: service.id, url: "http://dns", region: "north-1" };
    await expectStatus(400, "POST", "/endpoints", { endpoint: { ...endpoint, interface: "secret" } });
    await expectStatus(400, "POST", "/endpoints", { endpoint: { ...endpoint, service_id: "unknown" } });
    await expectStatus(400, "POST", "/endpoints", { endpoint: { ...endpoint, url: "http://dns/%(nothing)s" } });
    await expectStatus(400, "POST", "/endpoints", { endpoint: { ...endpoint, region_id: "unknown" } });
    const made = (await expectStatus(201, "POST", "/endpoints", { endpoint })).endpoint;
    assert.equal(made.region_id, "north-1");
    await expectStatus(403, "DELETE", "/regions/north");
    await expectStatus(200, "PATCH", `/services/${service.id}`, { service: { enabled: false } });
    const types = (await get("/auth/catalog")).catalog.map((entry: { type: string }) => entry.type);
    assert.ok(!types.includes("dns"));
    await expectStatus(204, "DELETE", `/services/${service.id}`);
    await expectStatus(404, "GET", `/endpoints/${made.id}`);
    await expectStatus(204, "DELETE", "/regions/north");
    await expectStatus(404, "GET", "/regions/north-1");
  });

  it("answers what is no route, no JSON or no method as the contract says", async () => {
    const unrouted = await send("GET", "/nothing");
    assert.equal(unrouted.statusCode, 404);
    assert.match(String(unrouted.headers["content-type"]), /^text\/html/);
    assert.equal((await send("PUT", "/projects", {})).statusCode, 405);
    const type = await server.call("/projects", {
      method: "POST",
      token: admin,
      body: {},
      headers: { "content-type": "text/xml" },
    });
    assert.equal(type.statusCode, 400);
    const broken = await server.http.inject({
      method: "POST",
      url: "/identity/v3/projects",
      headers: { "x-auth-token": admin, "content-type": "application/json" },
      payload: "{",
    });
    assert.equal(broken.statusCode, 400);
    assert.equal((await server.call("/projects")).statusCode, 401);
    const health = (method: "GET" | "HEAD", accept: string) =>
      server.http.inject({ method, url: "/identity/healthcheck", headers: { accept } });
    assert.equal((await health("GET", "*/*")).body, "OK");
    assert.deepEqual((await health("GET", "application/json")).json(), { detailed: false, reasons: ["OK"] });
    assert.equal((await health("HEAD", "*/*")).statusCode, 204);
  });

  it("moves its own endpoints with the address, leaves an operator's alone, and tells passwords once", async () => {
    const endpoints = (await get("/endpoints")).endpoints;
    const mine = endpoints.find((each: { url: string }) => each.url.endsWith("/compute/v2.1"));
    await expectStatus(200, "PATCH", `/endpoints/${mine.id}`, { endpoint: { url: "https://edge.example/compute" } });
    const again = await server.service.bootstrap({ baseUrl: "http://moved.test" });
    assert.equal(again.adminPassword, null);
    assert.equal(again.adminUserId, server.ids.adminUserId);
    const moved = (await get("/endpoints")).endpoints;
    assert.equal(moved.length, endpoints.length);
    const urls: string[] = moved.map((each: { url: string }) => each.url);
    assert.equal(urls.filter((url) => url === "https://edge.example/compute").length, 1);
    assert.ok(urls.every((url) => !url.startsWith("http://cloud.test")));
  });
});
