import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import { OTHER_PROJECT, PROJECT } from "../../../kernel/http/testing/people-api.ts";
import { sameShape } from "../../../kernel/http/testing/same-shape.ts";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import type { ComputeWorld } from "../testing/compute-world.ts";
import { resourceWorld } from "../testing/resource-world.ts";
import { sample } from "../testing/samples.ts";

onBothStores("flavors", (open) => {
  let world: ComputeWorld;
  before(async () => {
    world = await resourceWorld(open);
    await world.givenFlavor({
      id: "1",
      name: "m1.tiny",
      extra_specs: '{"hw:cpu_policy":"shared","hw:numa_nodes":"1"}',
    });
    await world.givenFlavor({ id: "2", name: "m1.small", ram_mib: 2048, disk_gib: 20, description: "test" });
    await world.givenFlavor({ id: "3", name: "hidden", is_public: 0 });
  });
  after(() => world.close());

  for (const [version, folder] of [
    ["2.1", ""],
    ["2.55", "v2.55/"],
    ["2.61", "v2.61/"],
    ["2.75", "v2.75/"],
    ["2.102", "v2.102/"],
  ] as const) {
    it(`looks as published at ${version}`, async () => {
      const show = await world.ask("reader", "GET", "/flavors/1", { version });
      sameShape(show.body, sample(`flavors/${folder}flavor-get-resp`));
      const detail = await world.ask("reader", "GET", "/flavors/detail", { version });
      const published = sample(`flavors/${folder}flavors-detail-resp`) as { flavors: { extra_specs?: unknown }[] };
      for (const flavor of published.flavors)
        if (flavor.extra_specs) flavor.extra_specs = detail.body.flavors[0].extra_specs;
      sameShape(detail.body, published);
      const list = await world.ask("reader", "GET", "/flavors", { version });
      sameShape(list.body, sample(`flavors/${folder}flavors-list-resp`));
    });
  }

  it("lists what the project may use; administrators choose", async () => {
    const ids = async (who: "reader" | "admin", query: string) =>
      (await world.ask(who, "GET", `/flavors?${query}`)).body.flavors.map((flavor: { id: string }) => flavor.id);
    assert.deepEqual(await ids("reader", "is_public=None"), ["1", "2"]);
    assert.deepEqual(await ids("admin", ""), ["1", "2"]);
    assert.deepEqual(await ids("admin", "is_public=None"), ["1", "2", "3"]);
    assert.deepEqual(await ids("admin", "is_public=false"), ["3"]);
    assert.deepEqual(await ids("reader", "minRam=1024"), ["2"]);
    assert.deepEqual(await ids("reader", "sort_key=memory_mb&sort_dir=desc"), ["2", "1"]);
    assert.equal((await world.ask("admin", "GET", "/flavors?is_public=perhaps")).status, 400);
    assert.equal((await world.ask("admin", "GET", "/flavors?sort_key=colour")).status, 400);
    assert.equal((await world.ask("admin", "GET", "/flavors?marker=nowhere")).status, 400);
    assert.equal((await world.ask("admin", "GET", "/flavors?colour=red", { version: "2.74" })).status, 200);
    assert.equal((await world.ask("admin", "GET", "/flavors?colour=red", { version: "2.75" })).status, 400);
    assert.equal((await world.ask("reader", "GET", "/flavors/3")).status, 404);
  });

  it("pages with a link to the next page", async () => {
    const first = await world.ask("reader", "GET", "/flavors?limit=1");
    assert.deepEqual(
      first.body.flavors.map((flavor: { id: string }) => flavor.id),
      ["1"],
    );
    assert.match(first.body.flavors_links[0].href, /\/flavors\?limit=1&marker=1$/);
    const second = await world.ask("reader", "GET", "/flavors?limit=5&marker=1");
    assert.equal(second.body.flavors[0].id, "2");
    assert.equal(second.body.flavors_links, undefined);
  });

  it("creates, describes and deletes", async () => {
    const flavor = { name: "m9.huge", ram: "4096", vcpus: 4, disk: 10, swap: 64, rxtx_factor: 2, id: 99 };
    assert.equal((await world.ask("member", "POST", "/flavors", { body: { flavor } })).status, 403);
    const made = await world.ask("admin", "POST", "/flavors", { body: { flavor } });
    assert.equal(made.status, 200, JSON.stringify(made.body));
    assert.equal(made.body.flavor.id, "99");
    assert.equal(made.body.flavor.ram, 4096);
    assert.equal(made.body.flavor.rxtx_factor, 2);
    assert.equal((await world.ask("admin", "POST", "/flavors", { body: { flavor } })).status, 409);
    const sameName = { ...flavor, id: null };
    assert.equal((await world.ask("admin", "POST", "/flavors", { body: { flavor: sameName } })).status, 409);
    for (const [bad, version] of [
      [{ ...flavor, ram: 0 }, "2.1"],
      [{ ...flavor, colour: "red" }, "2.1"],
      [{ ...flavor, description: "no" }, "2.54"],
      [{ ...flavor, rxtx_factor: 1 }, "2.102"],
      [{ ...flavor, id: " x" }, "2.1"],
    ] as const)
      assert.equal((await world.ask("admin", "POST", "/flavors", { body: { flavor: bad }, version })).status, 400);
    const described = await world.ask("admin", "PUT", "/flavors/99", {
      body: { flavor: { description: "a\nb" } },
      version: "2.55",
    });
    assert.equal(described.body.flavor.description, "a\nb");
    const early = { body: { flavor: { description: "x" } }, version: "2.54" };
    assert.equal((await world.ask("admin", "PUT", "/flavors/99", early)).status, 404);
    assert.equal((await world.ask("admin", "DELETE", "/flavors/99")).status, 202);
    assert.equal((await world.ask("admin", "DELETE", "/flavors/99")).status, 404);
  });

  it("keeps extra specs", async () => {
    const path = "/flavors/2/os-extra_specs";
    const added = await world.ask("admin", "POST", path, { body: { extra_specs: { "hw:numa_nodes": "2", n: 3 } } });
    assert.deepEqual([added.status, added.body], [200, { extra_specs: { "hw:numa_nodes": "2", n: "3" } }]);
    assert.deepEqual((await world.ask("reader", "GET", `${path}/n`)).body, { n: "3" });
    const changed = await world.ask("admin", "PUT", `${path}/n`, { body: { n: "4" } });
    assert.deepEqual([changed.status, changed.body], [200, { n: "4" }]);
    assert.equal((await world.ask("admin", "PUT", `${path}/n`, { body: { m: "4" } })).status, 400);
    assert.equal((await world.ask("admin", "PUT", `${path}/n`, { body: {} })).status, 400);
    assert.equal((await world.ask("member", "DELETE", `${path}/n`)).status, 403);
    assert.equal((await world.ask("admin", "DELETE", `${path}/n`)).status, 200);
    assert.equal((await world.ask("admin", "DELETE", `${path}/n`)).status, 404);
    assert.deepEqual((await world.ask("reader", "GET", path)).body, { extra_specs: { "hw:numa_nodes": "2" } });
    assert.equal((await world.ask("reader", "GET", "/flavors/none/os-extra_specs")).status, 404);
    const keys = ["a", "b", "c", "d", "e", "f"];
    await Promise.all(keys.map((key) => world.ask("admin", "POST", path, { body: { extra_specs: { [key]: "x" } } })));
    assert.equal(Object.keys((await world.ask("reader", "GET", path)).body.extra_specs).length, 1 + keys.length);
  });

  it("gives projects access to flavors that are not public", async () => {
    const act = (body: unknown, version = "2.7", id = "3") =>
      world.ask("admin", "POST", `/flavors/${id}/action`, { body, version });
    const added = await act({ addTenantAccess: { tenant: OTHER_PROJECT } });
    assert.equal(added.status, 200, JSON.stringify(added.body));
    assert.deepEqual(added.body, { flavor_access: [{ flavor_id: "3", tenant_id: OTHER_PROJECT }] });
    assert.equal((await world.ask("stranger", "GET", "/flavors/3")).status, 200);
    assert.equal((await act({ addTenantAccess: { tenant: OTHER_PROJECT } })).status, 409);
    assert.equal((await act({ addTenantAccess: { tenant: "nobody" } })).status, 400);
    assert.equal((await act({ addTenantAccess: { tenant: PROJECT } }, "2.7", "1")).status, 409);
    assert.equal((await world.ask("admin", "GET", "/flavors/1/os-flavor-access")).status, 404);
    assert.deepEqual((await world.ask("admin", "GET", "/flavors/3/os-flavor-access")).body, added.body);
    assert.deepEqual((await act({ removeTenantAccess: { tenant: OTHER_PROJECT } })).body, { flavor_access: [] });
    assert.equal((await act({ removeTenantAccess: { tenant: OTHER_PROJECT } })).status, 404);
    assert.equal((await world.ask("member", "GET", "/flavors/3/os-flavor-access")).status, 403);
  });
});
