import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import { test } from "node:test";
import { systemIds } from "../../../kernel/ids/ids.ts";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import { findImage } from "../store/images.ts";
import { imageServer, type Json } from "../testing/image-server.ts";
import { imageWorld, qcow2Header } from "../testing/image-world.ts";

const ADMIN = "admin.ops";
const MEMBER = "member.p1";
const READER = "reader.p1";
const OTHER = "member.p2";
const BYTES = { "content-type": "application/octet-stream" };
const PATCH = { "content-type": "application/openstack-images-v2.1-json-patch" };

onBothStores("image API", (open) => {
  const start = async () => {
    const world = await imageWorld(open);
    const server = imageServer(world);
    const make = async (token: string, body: object): Promise<Json> => {
      const answer = await server.ask(token, "POST", "/v2/images", body);
      assert.equal(answer.status, 201, String(answer.body));
      return answer.body;
    };
    const uploaded = async (token: string, body: object, data: string | Buffer = "hello world"): Promise<Json> => {
      const image = await make(token, { disk_format: "raw", container_format: "bare", ...body });
      const answer = await server.ask(token, "PUT", `/v2/images/${image.id}/file`, data, BYTES);
      assert.equal(answer.status, 204, String(answer.body));
      return image;
    };
    const names = async (token: string, query: string): Promise<string[]> => {
      const answer = await server.ask(token, "GET", `/v2/images?${query}`);
      assert.equal(answer.status, 200, String(answer.body));
      return answer.body.images.map((image: Json) => image.name);
    };
    return { ...server, world, make, uploaded, names };
  };

  test("versions and schemas", async () => {
    const { ask, world } = await start();
    const root = await ask("", "GET", "/");
    assert.equal(root.status, 300);
    assert.deepEqual([root.body.versions[0].id, root.body.versions[0].status], ["v2.7", "CURRENT"]);
    assert.equal((await ask("", "GET", "/v2/")).status, 300);
    assert.equal((await ask("", "GET", "/v2/images")).status, 401);
    assert.equal((await ask(READER, "GET", "/v2/schemas/image")).body.name, "image");
    assert.deepEqual((await ask(READER, "GET", "/v2/info/import")).body["import-methods"].value, []);
    await world.dispose();
  });

  test("an image's life", async () => {
    const { ask, make, world } = await start();
    const image = await make(MEMBER, {
      name: "disk",
      disk_format: "raw",
      container_format: "bare",
      os_type: "linux",
      tags: ["a"],
    });
    assert.deepEqual(
      [image.status, image.visibility, image.owner, image.os_type, image.size, image.tags, image.min_disk],
      ["queued", "shared", "p1", "linux", null, ["a"], 0],
    );
    const path = `/v2/images/${image.id}`;
    assert.equal((await ask(MEMBER, "GET", `${path}/file`)).status, 204);
    assert.equal((await ask(MEMBER, "PUT", `${path}/file`, "hello world")).status, 415);
    assert.equal((await ask(MEMBER, "PUT", `${path}/file`, "hello world", BYTES)).status, 204);
    const active = (await ask(READER, "GET", path)).body;
    assert.deepEqual(
      [active.status, active.size, active.checksum, active.os_hash_algo, active.os_hash_value.length, active.file],
      ["active", 11, "5eb63bbbe01eeed093cb22bb8f5acdc3", "sha512", 128, `/v2/images/${image.id}/file`],
    );
    assert.equal((await ask(MEMBER, "PUT", `${path}/file`, "again", BYTES)).status, 409);
    const data = await ask(MEMBER, "GET", `${path}/file`);
    assert.deepEqual(
      [data.body, data.headers["content-md5"], data.headers["content-length"]],
      ["hello world", "5eb63bbbe01eeed093cb22bb8f5acdc3", "11"],
    );
    const part = await ask(MEMBER, "GET", `${path}/file`, undefined, { range: "bytes=6-" });
    assert.deepEqual([part.status, part.body, part.headers["content-range"]], [206, "world", "bytes 6-10/11"]);
    assert.equal((await ask(MEMBER, "GET", `${path}/file`, undefined, { range: "bytes=-5" })).body, "world");
    assert.equal((await ask(MEMBER, "GET", `${path}/file`, undefined, { range: "bytes=11-" })).status, 416);
    assert.equal((await ask(READER, "DELETE", path)).status, 403);
    assert.equal((await ask(OTHER, "GET", path)).status, 404);
    assert.equal((await ask(MEMBER, "DELETE", path)).status, 204);
    assert.equal((await ask(MEMBER, "GET", path)).status, 404);
    assert.deepEqual(await readdir(world.dir), []);
    await world.dispose();
  });

  test("what cannot be registered or uploaded", async () => {
    const { ask, make, world } = await start();
    const bad = [
      { body: { disk_format: "vmdk" }, status: 400 },
      { body: { name: 5 }, status: 400 },
      { body: { min_disk: -1 }, status: 400 },
      { body: { id: "no" }, status: 400 },
      { body: { anything: 5 }, status: 400 },
      { body: { disk_format: "aki", container_format: "bare" }, status: 400 },
      { body: { status: "active" }, status: 403 },
      { body: { visibility: "public" }, status: 403 },
      { body: { owner: "p2" }, status: 403 },
      { body: [], status: 400 },
    ];
    for (const { body, status } of bad) {
      const answer = await ask(MEMBER, "POST", "/v2/images", body);
      assert.equal(answer.status, status, JSON.stringify(body));
      assert.match(answer.body, /<title>4\d\d /);
    }
    const id = systemIds.uuid();
    await make(MEMBER, { id });
    assert.equal((await ask(MEMBER, "POST", "/v2/images", { id })).status, 409);
    assert.equal((await ask(MEMBER, "PUT", `/v2/images/${id}/file`, "x", BYTES)).status, 400);
    const qcow2 = await make(MEMBER, { disk_format: "qcow2", container_format: "bare" });
    const linked = qcow2Header(1, { backingFileAt: 512 });
    assert.equal((await ask(MEMBER, "PUT", `/v2/images/${qcow2.id}/file`, linked, BYTES)).status, 400);
    assert.equal((await ask(MEMBER, "PUT", `/v2/images/${qcow2.id}/file`, Buffer.alloc(1_000_001), BYTES)).status, 413);
    assert.equal((await ask(MEMBER, "GET", `/v2/images/${qcow2.id}`)).body.status, "queued");
    assert.deepEqual(await readdir(world.dir), []);
    await world.dispose();
  });

  test("a client that hangs up leaves a queued image", async () => {
    const { http, make, world } = await start();
    const image = await make(MEMBER, { disk_format: "raw", container_format: "bare" });
    const address = await http.listen({ host: "127.0.0.1", port: 0 });
    const headers = { ...BYTES, "x-auth-token": MEMBER, "content-length": "1000" };
    const request = httpRequest(`${address}/image/v2/images/${image.id}/file`, { method: "PUT", headers });
    request.on("error", () => undefined);
    const statusOf = async () => (await findImage(world.context.store.read, image.id))?.row.status;
    const until = async (wanted: string) => {
      for (let tries = 0; (await statusOf()) !== wanted; tries += 1) {
        assert.ok(tries < 500, `the image never became ${wanted}`);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    };
    request.write("only a part");
    await until("saving");
    request.destroy();
    await until("queued");
    assert.deepEqual(await readdir(world.dir), []);
    await http.close();
    await world.dispose();
  });

  test("changes by JSON patch", async () => {
    const { ask, uploaded, world } = await start();
    const image = await uploaded(MEMBER, { name: "a", color: "red" });
    const path = `/v2/images/${image.id}`;
    const patch = (token: string, operations: Json, headers = PATCH) =>
      ask(token, "PATCH", path, JSON.stringify(operations), headers);
    const changed = await patch(MEMBER, [
      { op: "replace", path: "/name", value: "b" },
      { op: "add", path: "/size~1class", value: "big" },
      { op: "remove", path: "/color" },
      { op: "replace", path: "/tags", value: ["z", "y"] },
      { op: "replace", path: "/protected", value: true },
      { op: "replace", path: "/visibility", value: "private" },
    ]);
    assert.equal(changed.status, 200, String(changed.body));
    const after = (await ask(MEMBER, "GET", path)).body;
    assert.deepEqual(after, changed.body);
    assert.deepEqual(
      [after.name, after["size/class"], after.color, after.tags, after.protected, after.visibility],
      ["b", "big", undefined, ["y", "z"], true, "private"],
    );
    const bad = [
      { operations: [{ op: "replace", path: "/size", value: 5 }], status: 403 },
      { operations: [{ op: "replace", path: "/id", value: "x" }], status: 403 },
      { operations: [{ op: "remove", path: "/name" }], status: 403 },
      { operations: [{ op: "replace", path: "/disk_format", value: "qcow2" }], status: 403 },
      { operations: [{ op: "replace", path: "/visibility", value: "public" }], status: 403 },
      { operations: [{ op: "replace", path: "/owner", value: "p2" }], status: 403 },
      { operations: [{ op: "remove", path: "/nothing" }], status: 409 },
      { operations: [{ op: "replace", path: "/min_disk", value: "x" }], status: 400 },
      { operations: [{ op: "add", path: "/prop" }], status: 400 },
      { operations: [{ op: "add", path: "/a/b", value: "x" }], status: 400 },
      { operations: [{ op: "move", path: "/a" }], status: 400 },
      { operations: {}, status: 400 },
    ];
    for (const { operations, status } of bad) {
      assert.equal((await patch(MEMBER, operations)).status, status, JSON.stringify(operations));
    }
    assert.equal((await patch(MEMBER, [], { "content-type": "application/json" })).status, 415);
    assert.equal((await patch(READER, [])).status, 403);
    assert.equal((await ask(MEMBER, "DELETE", path)).status, 403);
    assert.equal((await patch(ADMIN, [{ op: "replace", path: "/protected", value: false }])).status, 200);
    assert.equal((await ask(MEMBER, "DELETE", path)).status, 204);
    await world.dispose();
  });

  test("lists: visibility, filters, order and pages", async () => {
    const { ask, make, uploaded, names, world } = await start();
    await uploaded(ADMIN, { name: "pub", visibility: "public" });
    world.clock.advance(1000);
    await make(MEMBER, { name: "mine", visibility: "private", tags: ["t1", "t2"], os_type: "linux" });
    world.clock.advance(1000);
    await make(OTHER, { name: "theirs" });
    await make(OTHER, { name: "community", visibility: "community" });
    await make(MEMBER, { name: "hidden", os_hidden: true });
    assert.deepEqual(await names(MEMBER, ""), ["mine", "pub"]);
    assert.deepEqual((await names(ADMIN, "sort=name:asc")).sort(), ["mine", "pub", "theirs"]);
    assert.deepEqual(await names(MEMBER, "visibility=community"), ["community"]);
    assert.deepEqual(await names(MEMBER, "visibility=all&sort=name:asc"), ["community", "mine", "pub"]);
    assert.deepEqual(await names(MEMBER, "os_hidden=true"), ["hidden"]);
    assert.deepEqual(await names(MEMBER, "name=in:pub,mine&sort_key=name&sort_dir=asc"), ["mine", "pub"]);
    assert.deepEqual(await names(MEMBER, "tag=t1&tag=t2"), ["mine"]);
    assert.deepEqual(await names(MEMBER, "os_type=linux"), ["mine"]);
    assert.deepEqual(await names(MEMBER, "status=active"), ["pub"]);
    assert.deepEqual(await names(MEMBER, "size_min=11&size_max=11"), ["pub"]);
    assert.deepEqual(await names(MEMBER, "created_at=gt:2026-01-01T00:00:00Z"), ["mine"]);
    const seen: string[] = [];
    let path: string | undefined = "/v2/images?limit=1&sort=name:asc";
    for (let pages = 0; path !== undefined && pages < 5; pages += 1) {
      const { body }: { body: Json } = await ask(MEMBER, "GET", path);
      assert.equal(body.first, "/v2/images?limit=1&sort=name%3Aasc");
      seen.push(...body.images.map((image: Json) => image.name));
      path = body.next;
    }
    assert.deepEqual(seen, ["mine", "pub"]);
    const bad = [
      "limit=-1",
      "limit=x",
      "marker=nope",
      "sort=nope",
      "sort=name:up",
      "visibility=x",
      "created_at=x",
      "size_min=x",
      "protected=x",
    ];
    for (const query of bad) assert.equal((await ask(MEMBER, "GET", `/v2/images?${query}`)).status, 400, query);
    assert.deepEqual(await names(MEMBER, "constructor=x"), []);
    await world.dispose();
  });

  test("shared images have members", async () => {
    const { ask, uploaded, names, world } = await start();
    const image = await uploaded(MEMBER, { name: "shared" });
    const path = `/v2/images/${image.id}/members`;
    assert.equal((await ask(OTHER, "GET", `/v2/images/${image.id}`)).status, 404);
    const added = await ask(MEMBER, "POST", path, { member: "p2" });
    assert.deepEqual([added.status, added.body.status], [200, "pending"]);
    assert.equal((await ask(MEMBER, "POST", path, { member: "p2" })).status, 409);
    assert.equal((await ask(OTHER, "GET", `/v2/images/${image.id}`)).status, 200);
    assert.deepEqual(await names(OTHER, ""), []);
    assert.deepEqual(await names(OTHER, "visibility=shared&member_status=pending"), ["shared"]);
    assert.equal((await ask(MEMBER, "PUT", `${path}/p2`, { status: "accepted" })).status, 403);
    assert.equal((await ask(OTHER, "PUT", `${path}/p2`, { status: "bogus" })).status, 400);
    assert.equal((await ask(OTHER, "PUT", `${path}/p2`, { status: "accepted" })).body.status, "accepted");
    assert.deepEqual(await names(OTHER, ""), ["shared"]);
    assert.equal((await ask(OTHER, "GET", `/v2/images/${image.id}/file`)).body, "hello world");
    assert.equal((await ask(OTHER, "POST", path, { member: "p3" })).status, 403);
    assert.equal((await ask(MEMBER, "GET", path)).body.members.length, 1);
    assert.equal((await ask(OTHER, "GET", `${path}/p2`)).body.member_id, "p2");
    assert.equal((await ask(MEMBER, "DELETE", `${path}/p2`)).status, 204);
    assert.equal((await ask(MEMBER, "DELETE", `${path}/p2`)).status, 404);
    const secret = await uploaded(MEMBER, { visibility: "private" });
    assert.equal((await ask(MEMBER, "POST", `/v2/images/${secret.id}/members`, { member: "p2" })).status, 403);
    await world.dispose();
  });

  test("deactivation, tags", async () => {
    const { ask, make, uploaded, world } = await start();
    const image = await uploaded(MEMBER, { name: "a" });
    const path = `/v2/images/${image.id}`;
    assert.equal((await ask(READER, "POST", `${path}/actions/deactivate`)).status, 403);
    assert.equal((await ask(MEMBER, "POST", `${path}/actions/deactivate`)).status, 204);
    assert.equal((await ask(MEMBER, "GET", path)).body.status, "deactivated");
    assert.equal((await ask(MEMBER, "GET", `${path}/file`)).status, 403);
    assert.equal((await ask(ADMIN, "GET", `${path}/file`)).body, "hello world");
    assert.equal((await ask(MEMBER, "POST", `${path}/actions/reactivate`)).status, 204);
    const queued = await make(MEMBER, {});
    assert.equal((await ask(MEMBER, "POST", `/v2/images/${queued.id}/actions/deactivate`)).status, 403);
    assert.equal((await ask(MEMBER, "PUT", `${path}/tags/x`)).status, 204);
    assert.equal((await ask(MEMBER, "PUT", `${path}/tags/x`)).status, 204);
    assert.deepEqual((await ask(MEMBER, "GET", path)).body.tags, ["x"]);
    assert.equal((await ask(MEMBER, "DELETE", `${path}/tags/x`)).status, 204);
    assert.equal((await ask(MEMBER, "DELETE", `${path}/tags/x`)).status, 404);
    await world.dispose();
  });
});
