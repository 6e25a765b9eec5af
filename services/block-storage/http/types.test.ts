import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { OTHER_PROJECT, type Person } from "../../../kernel/http/testing/people-api.ts";
import { sameShape } from "../../../kernel/http/testing/same-shape.ts";
import { openSqlite } from "../../../kernel/store/testing/stores.ts";
import { type BlockStorageWorld, blockStorageWorld } from "../testing/block-storage-world.ts";
import { sample } from "../testing/samples.ts";

describe("volume types", () => {
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

  const ask = (who: Person, method: string, path: string, body?: unknown, version = "3.0") =>
    world.ask(who, method, path, { version, ...(body === undefined ? {} : { body }) });
  const create = async (name: string, more: Record<string, unknown> = {}) => {
    world.clock.advance(1000);
    const answer = await ask("admin", "POST", "/types", { volume_type: { name, ...more } });
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    return answer.body.volume_type;
  };
  const names = async (who: Person, query = "", version?: string): Promise<string[]> => {
    const answer = await ask(who, "GET", `/types${query}`, undefined, version);
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    return answer.body.volume_types.map((type: { name: string }) => type.name);
  };

  it("have no encryption, and say so", async () => {
    const { id } = await create("plain");
    const shown = await ask("admin", "GET", `/types/${id}/encryption`);
    assert.deepEqual([shown.status, shown.body], [200, {}]);
    assert.equal((await ask("admin", "GET", `/types/${id}/encryption/cipher`)).status, 404);
    assert.equal((await ask("admin", "GET", "/types/nowhere/encryption")).status, 404);
    assert.equal((await ask("manager", "GET", `/types/${id}/encryption`)).status, 403);
    await ask("admin", "DELETE", `/types/${id}`);
  });

  it("are made, shown, changed and deleted, as published", async () => {
    const made = await ask("admin", "POST", "/types", sample("volume_type/volume-type-create-request"));
    const { qos_specs_id, ...shown } = made.body.volume_type;
    sameShape({ volume_type: shown }, sample("volume_type/volume-type-create-response"));
    sameShape((await ask("admin", "GET", "/types")).body, sample("volume_type/volume-types-list-response"));
    const path = `/types/${shown.id}`;
    sameShape((await ask("admin", "GET", path)).body, {
      volume_type: {
        ...(sample("volume_type/volume-type-show-response") as { volume_type: object }).volume_type,
        qos_specs_id,
      },
    });
    const changed = await ask("admin", "PUT", path, {
      volume_type: { name: " other ", description: null, is_public: "false" },
    });
    const { name, description, is_public } = changed.body.volume_type;
    assert.deepEqual([changed.status, name, description, is_public], [200, "other", null, false]);
    assert.equal((await ask("member", "GET", path)).status, 404);
    assert.equal((await ask("admin", "DELETE", path)).status, 202);
    assert.equal((await ask("admin", "GET", path)).body.itemNotFound.code, 404);
  });

  it("has a default that stays", async () => {
    const { body } = await ask("reader", "GET", "/types/default");
    assert.deepEqual([body.volume_type.name, body.volume_type.is_public], ["__DEFAULT__", true]);
    const path = `/types/${body.volume_type.id}`;
    assert.equal((await ask("admin", "DELETE", path)).status, 400);
    assert.equal((await ask("admin", "PUT", path, { volume_type: { name: "x" } })).status, 400);
  });

  it("lists in pages, sorted, and by who asks", async () => {
    await create("a", { extra_specs: { volume_backend_name: "shared" } });
    await create("b", { "os-volume-type-access:is_public": false });
    await create("c");
    assert.deepEqual(await names("member"), ["c", "a", "__DEFAULT__"]);
    assert.deepEqual(await names("admin", "?is_public=None"), ["c", "b", "a", "__DEFAULT__"]);
    assert.deepEqual(await names("admin", "?is_public=False"), ["b"]);
    assert.deepEqual(await names("member", "?is_public=None&sort=name:asc"), ["__DEFAULT__", "a", "c"]);
    assert.deepEqual(await names("admin", "?extra_specs={'volume_backend_name':'shared'}", "3.52"), ["a"]);
    const { body } = await ask("member", "GET", "/types?limit=1&sort_key=name&sort_dir=asc");
    assert.deepEqual([body.volume_types[0].name, body.volume_type_links[0].rel], ["__DEFAULT__", "next"]);
    const next = new URL(body.volume_type_links[0].href).search;
    assert.deepEqual(await names("member", next), ["a"]);
    assert.deepEqual(await names("member", "?offset=2&sort_key=name&sort_dir=asc"), ["c"]);
    for (const query of ["?sort=colour", "?sort=name:up", "?sort=name&sort_key=id", "?is_public=maybe"])
      assert.equal((await ask("admin", "GET", `/types${query}`)).status, 400, query);
    assert.equal((await ask("admin", "GET", "/types?marker=nowhere")).status, 404);
  });

  it("refuses names that are taken or empty, and who may not", async () => {
    await create("taken");
    const { id } = await create("free");
    for (const name of ["taken", " taken "])
      assert.equal((await ask("admin", "POST", "/types", { volume_type: { name } })).body.conflictingRequest.code, 409);
    assert.equal((await ask("admin", "PUT", `/types/${id}`, { volume_type: { name: "taken" } })).status, 409);
    for (const volume_type of [{}, { name: "" }, { name: "x".repeat(256) }, { name: null }])
      assert.equal((await ask("admin", "POST", "/types", { volume_type })).status, 400);
    for (const volume_type of [{}, { name: "  " }])
      assert.equal((await ask("admin", "PUT", `/types/${id}`, { volume_type })).status, 400);
    assert.equal((await ask("member", "POST", "/types", { volume_type: { name: "mine" } })).status, 403);
    assert.equal((await ask("member", "DELETE", `/types/${id}`)).status, 403);
  });

  it("keeps specs, which ordinary users see in part", async () => {
    const { id } = await create("fast", { extra_specs: { replication_enabled: "<is> True" } });
    const path = `/types/${id}/extra_specs`;
    const request = sample("volume_type/volume-type-extra-specs-create-update-request");
    assert.deepEqual((await ask("admin", "POST", path, request)).body, request);
    assert.deepEqual((await ask("admin", "PUT", `${path}/key1`, { key1: "new" })).body, { key1: "new" });
    assert.deepEqual((await ask("admin", "GET", `${path}/key1`)).body, { key1: "new" });
    assert.equal((await ask("admin", "DELETE", `${path}/key2`)).status, 202);
    assert.equal((await ask("admin", "DELETE", `${path}/key2`)).status, 404);
    assert.deepEqual((await ask("admin", "GET", path)).body, {
      extra_specs: { replication_enabled: "<is> True", key1: "new" },
    });
    assert.deepEqual((await ask("reader", "GET", path)).body, { extra_specs: { replication_enabled: "<is> True" } });
    assert.equal((await ask("reader", "GET", `${path}/key1`)).status, 404);
    for (const specs of [{ other: "x" }, { key1: "x", other: "y" }, { key1: 1 }])
      assert.equal((await ask("admin", "PUT", `${path}/key1`, specs)).status, 400);
    await world.givenVolume({ type_id: id });
    assert.equal((await ask("admin", "POST", path, request)).status, 400);
    assert.equal((await ask("admin", "DELETE", `/types/${id}`)).status, 400);
  });

  it("opens private types to projects", async () => {
    const { id } = await create("private", { "os-volume-type-access:is_public": "False" });
    const path = `/types/${id}`;
    const act = (key: string) => ask("admin", "POST", `${path}/action`, { [key]: { project: OTHER_PROJECT } });
    assert.equal((await ask("stranger", "GET", path)).status, 404);
    assert.equal((await act("addProjectAccess")).status, 202);
    assert.equal((await act("addProjectAccess")).status, 409);
    assert.equal((await ask("stranger", "GET", path)).status, 200);
    assert.ok((await names("stranger")).includes("private"));
    const { body } = await ask("admin", "GET", `${path}/os-volume-type-access`);
    assert.deepEqual(body, { volume_type_access: [{ volume_type_id: id, project_id: OTHER_PROJECT }] });
    sameShape(body, sample("volume_type/volume-type-access-list-response"));
    assert.equal((await act("removeProjectAccess")).status, 202);
    assert.equal((await act("removeProjectAccess")).status, 404);
    const open = await create("open");
    assert.equal((await ask("admin", "GET", `/types/${open.id}/os-volume-type-access`)).status, 404);
    const project = { addProjectAccess: { project: OTHER_PROJECT } };
    assert.equal((await ask("admin", "POST", `/types/${open.id}/action`, project)).status, 409);
    assert.equal((await ask("member", "POST", `${path}/action`, project)).status, 403);
  });
});
