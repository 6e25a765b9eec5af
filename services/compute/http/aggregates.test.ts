import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import type { ComputeTables } from "../store/tables.ts";
import { type ComputeWorld, computeWorld } from "../testing/compute-world.ts";

onBothStores("aggregates", (open) => {
  let world: ComputeWorld;
  before(async () => {
    world = await computeWorld(open);
    for (const host of ["host-1", "host-2", "host-3"]) await world.givenHost(host);
  });
  after(() => world.close());

  const ask = (method: string, path = "", body?: unknown, who: "admin" | "member" = "admin", version = "2.104") =>
    world.ask(who, method, `/os-aggregates${path}`, { version, ...(body === undefined ? {} : { body }) });
  const make = async (name: string, availability_zone?: string) =>
    (await ask("POST", "", { aggregate: { name, ...(availability_zone ? { availability_zone } : {}) } })).body
      .aggregate;
  const act = (id: number, key: string, value: unknown) => ask("POST", `/${id}/action`, { [key]: value });
  const zones = async () => {
    const { body } = await world.ask("admin", "GET", "/os-availability-zone/detail");
    return Object.fromEntries(
      body.availabilityZoneInfo.map((zone: { zoneName: string; hosts: object | null }) => [
        zone.zoneName,
        Object.keys(zone.hosts ?? {}).sort(),
      ]),
    );
  };

  it("is made, shown, listed, changed and deleted", async () => {
    const made = await make("fast");
    assert.deepEqual([made.name, made.availability_zone, made.deleted], ["fast", null, false]);
    assert.deepEqual([made.hosts, made.metadata], [undefined, undefined], "not in the answer to a create");
    const shown = (await ask("GET", `/${made.id}`)).body.aggregate;
    assert.deepEqual(shown, { ...made, hosts: [], metadata: {} });
    const { uuid, ...older } = shown;
    assert.match(uuid, /^[0-9a-f-]{36}$/);
    assert.deepEqual((await ask("GET", `/${made.id}`, undefined, "admin", "2.40")).body.aggregate, older);
    const renamed = await ask("PUT", `/${made.id}`, { aggregate: { name: "faster" } });
    assert.equal(renamed.body.aggregate.name, "faster");
    assert.notEqual(renamed.body.aggregate.updated_at, null);
    const set = await act(made.id, "set_metadata", { metadata: { ssd: "true", gone: "1" } });
    assert.deepEqual(set.body.aggregate.metadata, { ssd: "true", gone: "1" });
    await act(made.id, "set_metadata", { metadata: { gone: null } });
    assert.deepEqual((await ask("GET")).body.aggregates[0].metadata, { ssd: "true" });
    assert.equal((await ask("DELETE", `/${made.id}`)).status, 200);
    assert.deepEqual((await ask("GET")).body, { aggregates: [] });
  });

  it("gives its hosts a zone, and takes it back", async () => {
    const [east, plain] = [await make("east", "east"), await make("plain")];
    assert.deepEqual((await act(east.id, "add_host", { host: "host-1" })).body.aggregate.hosts, ["host-1"]);
    await act(plain.id, "add_host", { host: "host-1" });
    assert.deepEqual(await zones(), { east: ["host-1"], nova: ["host-2", "host-3"], ...(await internal()) });
    await ask("PUT", `/${east.id}`, { aggregate: { availability_zone: "far-east" } });
    assert.deepEqual((await zones())["far-east"], ["host-1"]);
    const west = await make("west", "west");
    assert.equal((await act(west.id, "add_host", { host: "host-1" })).status, 409, "a host is in one zone");
    assert.equal((await ask("PUT", `/${plain.id}`, { aggregate: { availability_zone: "x" } })).status, 409);
    assert.equal((await ask("DELETE", `/${east.id}`)).status, 400, "not empty");
    await act(east.id, "remove_host", { host: "host-1" });
    assert.deepEqual((await zones()).nova, ["host-1", "host-2", "host-3"]);
    await act(plain.id, "remove_host", { host: "host-1" });
    for (const { id } of [east, plain, west]) assert.equal((await ask("DELETE", `/${id}`)).status, 200);
  });

  it("leaves a host with servers in its zone", async () => {
    const south = await make("south", "south");
    const server = await world.givenServer({ host: "host-3" });
    await world.store.tx((t) =>
      t
        .tables<ComputeTables>()
        .insertInto("allocations")
        .values({ server_id: server.id, host: "host-3", vcpus: 1, ram_mib: 1, disk_gib: 1, created_at: 0 })
        .execute(),
    );
    assert.equal((await act(south.id, "add_host", { host: "host-3" })).status, 409);
    assert.deepEqual((await ask("GET", `/${south.id}`)).body.aggregate.hosts, []);
    assert.deepEqual((await zones()).nova, ["host-1", "host-2", "host-3"]);
    await ask("DELETE", `/${south.id}`);
  });

  it("refuses what does not fit", async () => {
    const { id } = await make("taken");
    const { id: other } = await make("other");
    const create = (aggregate: unknown) => ask("POST", "", { aggregate });
    assert.equal((await create({ name: "taken" })).status, 409);
    assert.equal((await ask("PUT", `/${other}`, { aggregate: { name: "taken" } })).status, 409);
    for (const aggregate of [{}, { name: "" }, { name: "a", availability_zone: "a:b" }, { name: "a", more: 1 }])
      assert.equal((await create(aggregate)).status, 400, JSON.stringify(aggregate));
    assert.equal((await ask("PUT", `/${id}`, { aggregate: {} })).status, 400);
    assert.equal((await act(id, "add_host", { host: "nowhere" })).status, 404);
    assert.equal((await act(id, "remove_host", { host: "host-1" })).status, 404);
    assert.equal((await act(id, "add_host", { host: "host-1" })).status, 200);
    assert.equal((await act(id, "add_host", { host: "host-1" })).status, 409);
    assert.equal((await act(id, "set_metadata", { metadata: { a: 1 } })).status, 400);
    await act(id, "remove_host", { host: "host-1" });
    for (const method of ["GET", "DELETE"]) {
      assert.equal((await ask(method, "/12345")).status, 404);
      assert.equal((await ask(method, "/many")).status, 400);
      assert.equal((await ask(method, `/${id}`, undefined, "member")).status, 403);
    }
    assert.equal((await ask("GET", "", undefined, "member")).status, 403);
  });

  async function internal() {
    const { internal: hosts } = await zones();
    return hosts ? { internal: hosts } : {};
  }
});
