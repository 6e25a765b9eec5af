import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import { OTHER_PROJECT, PROJECT } from "../../../kernel/http/testing/people-api.ts";
import { sameShape } from "../../../kernel/http/testing/same-shape.ts";
import { openSqlite, type TestStore } from "../../../kernel/store/testing/stores.ts";
import { computePolicies } from "../policies.ts";
import { type ComputeWorld, computeWorld } from "../testing/compute-world.ts";
import { sample } from "../testing/samples.ts";

let world: ComputeWorld;
let opened: TestStore;
before(async () => {
  world = await computeWorld(async (migrations) => {
    opened = await openSqlite(migrations);
    return opened;
  });
});
after(async () => {
  await world.close();
  await opened.dispose();
});

it("tells its versions to anybody, as published", async () => {
  const root = await world.ask(null, "GET", "", { root: "/compute" });
  assert.equal(root.status, 200);
  sameShape(root.body, sample("versions/versions-get-resp"));
  const current = await world.ask(null, "GET", "/");
  sameShape(current.body, sample("versions/v21-version-get-resp"));
  assert.deepEqual([current.body.version.version, current.body.version.min_version], ["2.104", "2.1"]);
  assert.equal(current.body.version.links[0].href, "http://localhost:80/compute/v2.1/");
  const legacy = await world.ask(null, "GET", "", { root: "/compute/v2" });
  sameShape(legacy.body, sample("versions/v2-version-get-resp"));
  const unknown = await world.ask(null, "GET", "/servers", { root: "/compute/v9" });
  assert.equal(unknown.status, 300);
  assert.equal(unknown.body.choices.length, 2);
});

it("negotiates versions", async () => {
  const at = (headers: Record<string, string>) => world.ask("reader", "GET", "/servers", { headers });
  const latest = await at({ "openstack-api-version": "volume 3.59, Compute latest" });
  assert.equal(latest.headers["openstack-api-version"], "compute 2.104");
  assert.equal(latest.headers["x-openstack-nova-api-version"], "2.104");
  assert.deepEqual(latest.headers.vary, ["OpenStack-API-Version", "X-OpenStack-Nova-API-Version"]);
  const old = await at({ "x-openstack-nova-api-version": "2.79", "openstack-api-version": "volume 3.59" });
  assert.equal(old.headers["openstack-api-version"], "compute 2.79");
  const beyond = await at({ "openstack-api-version": "compute 2.105" });
  assert.equal(beyond.status, 406);
  assert.equal(beyond.body.computeFault.code, 406);
  assert.equal(beyond.headers["openstack-api-version"], "compute 2.105");
  const malformed = await at({ "openstack-api-version": "compute 2.01" });
  assert.equal(malformed.status, 400);
  assert.equal(malformed.headers["openstack-api-version"], undefined);
});

it("checks in OpenStack's order", async () => {
  const post = (who: "member" | null, path: string, body: string, headers: Record<string, string> = {}) =>
    world.ask(who, "POST", path, { body, headers });
  assert.equal((await post(null, "/servers/1/action", "{}")).status, 401);
  const unauthenticated = await post(null, "/servers", "{}");
  assert.equal(unauthenticated.body.error.code, 401);
  assert.match(String(unauthenticated.headers["www-authenticate"]), /^Keystone uri=/);
  const unrouted = await world.ask("member", "GET", "/nonsense");
  assert.deepEqual([unrouted.status, unrouted.body.code], [404, "404 Not Found"]);
  assert.equal((await post("member", "/servers/1/action", "{", { "content-type": "text/xml" })).status, 415);
  assert.equal((await post("member", "/servers/1/action", "{")).status, 400);
  const foreign = await world.ask("member", "GET", `/${OTHER_PROJECT}/servers`);
  assert.equal(foreign.status, 400);
  const own = await world.ask("member", "GET", `/${PROJECT}/servers`);
  assert.equal(own.status, 200);
});

it("keeps the legacy alias at 2.1, without version headers, and forgiving", async () => {
  const server = await world.givenServer();
  const answer = await world.ask("member", "GET", `/servers/${server.id}`, { root: "/compute/v2", version: "2.104" });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers["openstack-api-version"], undefined);
  assert.equal("locked" in answer.body.server, false);
  const state = { "os-resetState": { state: "active", nonsense: 1 } };
  const path = `/servers/${server.id}/action`;
  assert.equal((await world.ask("admin", "POST", path, { root: "/compute/v2", body: state })).status, 202);
  assert.equal((await world.ask("admin", "POST", path, { body: state })).status, 400);
  assert.equal((await world.ask("member", "GET", `/servers/${server.id}/tags`, { root: "/compute/v2" })).status, 404);
});

it("asks only rules that have a default", () => {
  const known = new Set(computePolicies.map(({ name }) => name));
  const unknown = world.http.routeTable
    .filter(({ face }) => face === "compute")
    .flatMap(({ name, policy }) =>
      policy.filter((rule) => rule !== "authenticated" && !known.has(rule)).map((rule) => `${name}: ${rule}`),
    );
  assert.deepEqual(unknown, []);
});
