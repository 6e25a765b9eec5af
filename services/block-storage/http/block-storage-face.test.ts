import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { OTHER_PROJECT, PROJECT } from "../../../kernel/http/testing/people-api.ts";
import { openSqlite } from "../../../kernel/store/testing/stores.ts";
import { type BlockStorageWorld, blockStorageWorld } from "../testing/block-storage-world.ts";

describe("the face of Block Storage", () => {
  let world: BlockStorageWorld;
  let dispose: () => Promise<void>;
  before(async () => {
    world = await blockStorageWorld(async (migrations) => {
      const opened = await openSqlite(migrations);
      dispose = opened.dispose;
      return opened;
    });
  });
  after(async () => {
    await world.close();
    await dispose();
  });

  const version = (header: string) =>
    world.ask("admin", "GET", "/os-services", { headers: { "openstack-api-version": header } });

  it("shows its versions to anybody as 300, and under v3 to who has a token as 200", async () => {
    const root = await world.ask(null, "GET", "/", { root: "/volume" });
    assert.equal(root.status, 300);
    const under = await world.ask("reader", "GET", "/");
    assert.equal(under.status, 200);
    assert.equal((await world.ask("reader", "GET", "")).status, 200);
    assert.equal((await world.ask("reader", "GET", `/${PROJECT}/`)).status, 200);
    assert.equal((await world.ask(null, "GET", "/")).status, 401);
    assert.deepEqual(under.body, root.body);
    const [one] = root.body.versions;
    assert.deepEqual(
      [one.id, one.status, one.version, one.min_version, one.links.map((link: { rel: string }) => link.rel)],
      ["v3.0", "CURRENT", "3.71", "3.0", ["describedby", "self"]],
    );
  });

  it("tells load balancers that it lives", async () => {
    const health = await world.http.inject({ url: "/volume/healthcheck" });
    assert.deepEqual([health.statusCode, health.body], [200, "OK"]);
  });

  it("negotiates the microversion by the first entry that names volume", async () => {
    const applied = async (header: string) => {
      const answer = await version(header);
      assert.equal(String(answer.headers.vary), "OpenStack-API-Version");
      return [answer.status, answer.headers["openstack-api-version"]];
    };
    assert.deepEqual(await applied("volume 3.7"), [200, "volume 3.7"]);
    assert.deepEqual(await applied("compute 2.1, volumev3 3.50, volume 3.1"), [200, "volume 3.50"]);
    assert.deepEqual(await applied("volume latest"), [200, "volume 3.71"]);
    const plain = await world.ask("admin", "GET", "/os-services");
    assert.equal(plain.headers["openstack-api-version"], "volume 3.0");
    assert.equal((await version("block-storage 3.50")).body.badRequest.code, 400);
    assert.equal((await version("volume 3.x")).body.badRequest.code, 400);
    const beyond = await version("volume 3.72");
    assert.equal(beyond.status, 406);
    assert.equal(beyond.body.computeFault.code, 406);
  });

  it("takes both forms of paths, and no foreign project", async () => {
    assert.equal((await world.ask("admin", "GET", `/${PROJECT}/os-services`)).status, 200);
    const foreign = await world.ask("admin", "GET", `/${OTHER_PROJECT}/os-services`);
    assert.equal(foreign.body.badRequest.code, 400);
  });

  it("tells errors in its own envelope, unrouted paths and tokens in the framework's", async () => {
    const denied = await world.ask("member", "GET", "/os-services");
    assert.equal(denied.status, 403);
    assert.equal(denied.body.forbidden.code, 403);
    const nowhere = await world.ask("admin", "GET", "/nowhere");
    assert.equal(nowhere.status, 404);
    assert.equal(nowhere.body.code, "404 Not Found");
    const nobody = await world.ask(null, "GET", "/os-services");
    assert.deepEqual([nobody.status, nobody.body.error.code], [401, 401]);
    assert.equal(denied.headers["x-openstack-request-id"], denied.headers["x-compute-request-id"]);
  });
});
