import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { OTHER_PROJECT, PROJECT } from "../../../kernel/http/testing/people-api.ts";
import { liveOperations } from "../../../kernel/operations/control.ts";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import type { ImageSummary } from "../../image/public.ts";
import { setQuotas } from "../store/quotas.ts";
import type { FlavorRow } from "../store/tables.ts";
import { type ComputeWorld, computeWorld } from "../testing/compute-world.ts";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

onBothStores("servers", (open) => {
  let world: ComputeWorld;
  let flavor: FlavorRow;
  let image: ImageSummary;
  before(async () => {
    world = await computeWorld(open);
    await world.givenHost("host-1");
    await world.network.ensureDefaultNetwork({ projectId: OTHER_PROJECT });
    flavor = await world.givenFlavor();
    image = world.givenImage();
    await world.store.tx(async (t) => {
      await setQuotas(t, PROJECT, { instances: -1, cores: -1, ram: -1 });
      await setQuotas(t, OTHER_PROJECT, { instances: 2, metadata_items: 1 });
    });
  });
  after(() => world.close());

  const wanted = (more: object = {}) => ({
    server: { name: "web", flavorRef: flavor.id, imageRef: image.id, networks: "auto", ...more },
  });
  const create = (more: object = {}, version = "2.100", who: "member" | "stranger" | "admin" | "reader" = "member") =>
    world.ask(who, "POST", "/servers", { version, body: wanted(more) });

  describe("create", () => {
    it("accepts, with an operation, an instance action, ports and the quota counted", async () => {
      const answer = await create({ metadata: { a: "b" }, tags: ["x"], description: "d", hostname: "web.example.org" });
      assert.equal(answer.status, 202, JSON.stringify(answer.body));
      const { server } = answer.body;
      assert.deepEqual(Object.keys(server).sort(), [
        "OS-DCF:diskConfig",
        "adminPass",
        "id",
        "links",
        "security_groups",
      ]);
      assert.match(server.id, UUID);
      assert.equal(answer.headers.location, `http://localhost:80/compute/v2.1/servers/${server.id}`);
      const [operation] = await liveOperations(world.store.read, server.id);
      assert.equal(operation?.name, "server.create");
      assert.equal(operation?.request_id, answer.headers["x-openstack-request-id"]);
      const shown = (await world.ask("member", "GET", `/servers/${server.id}`, { version: "2.100" })).body.server;
      assert.equal(shown.status, "BUILD");
      assert.equal(shown["OS-EXT-STS:task_state"], "scheduling");
      assert.equal(shown.addresses.private.length, 1);
      assert.deepEqual([shown.metadata, shown.tags, shown.description], [{ a: "b" }, ["x"], "d"]);
      const actions = await world.ask("member", "GET", `/servers/${server.id}/os-instance-actions`);
      assert.equal(actions.body.instanceActions[0].action, "create");
    });

    it("refuses what it cannot use with 400", async () => {
      const refused: [string, object, string?][] = [
        ["flavor", { flavorRef: "nope" }],
        ["image", { imageRef: world.ids.uuid() }],
        ["image that is no id", { imageRef: "nope" }],
        ["no image", { imageRef: "" }],
        ["network", { networks: [{ uuid: world.ids.uuid() }] }],
        ["port", { networks: [{ port: world.ids.uuid() }] }],
        ["key", { key_name: "nope" }],
        ["zone", { availability_zone: "nope" }],
        ["unknown field", { other: 1 }],
        ["no name", { name: "" }],
        ["long name", { name: "x".repeat(256) }],
        ["user data", { user_data: "§" }],
        ["counts", { min_count: 3, max_count: 2 }],
        ["volumes", { block_device_mapping_v2: [{ source_type: "volume", uuid: world.ids.uuid(), boot_index: 0 }] }],
        ["networks are required from 2.37", { networks: undefined }, "2.37"],
        ["auto is unknown below 2.37", { networks: "auto" }, "2.36"],
        ["tags below 2.52", { tags: ["a"] }, "2.51"],
        ["description below 2.19", { description: "a", networks: [] }, "2.18"],
        ["host below 2.74", { host: "host-1" }, "2.73"],
        ["small image", { imageRef: world.givenImage({ minRamMiB: 10_000 }).id }],
        ["large image", { imageRef: world.givenImage({ virtualSizeBytes: 2 ** 40 }).id }],
        ["inactive image", { imageRef: world.givenImage({ status: "queued" }).id }],
      ];
      for (const [what, more, version] of refused) {
        const answer = await create(more, version);
        assert.equal(answer.status, 400, `${what}: ${JSON.stringify(answer.body)}`);
        assert.equal(answer.body.badRequest.code, 400);
      }
    });

    it("needs a member, and an administrator for hosts", async () => {
      assert.equal((await create({}, "2.100", "reader")).status, 403);
      assert.equal((await create({ availability_zone: "nova:host-1" })).status, 403);
      assert.equal((await create({ host: "host-1" })).status, 403);
      assert.equal((await create({ availability_zone: "nova:host-1" }, "2.100", "admin")).status, 202);
      assert.equal((await create({ host: "host-1" }, "2.100", "admin")).status, 202);
      assert.equal((await create({ host: "host-9" }, "2.100", "admin")).status, 400);
    });

    it("makes several at once, as many as the quota allows, or none: 403", async () => {
      const several = await create({ min_count: 1, max_count: 5 }, "2.100", "stranger");
      assert.equal(several.status, 202, JSON.stringify(several.body));
      const list = await world.ask("stranger", "GET", "/servers?sort_key=display_name&sort_dir=asc");
      assert.deepEqual(
        list.body.servers.map((each: { name: string }) => each.name),
        ["web-1", "web-2"],
      );
      const none = await create({}, "2.100", "stranger");
      assert.equal(none.status, 403);
      assert.match(none.body.forbidden.message, /instances/);
      assert.equal((await create({ metadata: { a: "1", b: "2" } }, "2.100", "stranger")).status, 403);
    });
  });

  describe("lists", () => {
    it("filters, sorts and pages", async () => {
      const one = await world.givenServer({ name: "alpha-1", host: "host-7", tags: '["red","blue"]', key_name: "k" });
      const two = await world.givenServer({ name: "alpha-2", host: "host-7", vm_state: "error", tags: '["red"]' });
      const three = await world.givenServer({ name: "alpha-3", host: "host-7", vm_state: "stopped", locked: 1 });
      const ids = async (query: string, version = "2.83", who: "admin" | "member" = "admin"): Promise<string[]> => {
        const answer = await world.ask(who, "GET", `/servers?${query}`, { version });
        assert.equal(answer.status, 200, JSON.stringify(answer.body));
        return answer.body.servers.map((each: { id: string }) => each.id);
      };
      const all = "host=host-7&sort_key=display_name&sort_dir=asc";
      assert.deepEqual(await ids(all), [one.id, two.id, three.id]);
      assert.deepEqual(await ids("name=^alpha-2$"), [two.id]);
      assert.deepEqual(await ids(`${all}&status=error`), [two.id]);
      assert.deepEqual(await ids(`${all}&status=ERROR&status=shutoff`), [two.id, three.id]);
      assert.deepEqual(await ids(`${all}&tags=red`), [one.id, two.id]);
      assert.deepEqual(await ids(`${all}&tags=red,blue`), [one.id]);
      assert.deepEqual(await ids(`${all}&not-tags-any=blue,green`), [two.id, three.id]);
      assert.deepEqual(await ids(`${all}&locked=true`), [three.id]);
      assert.deepEqual(await ids(`${all}&key_name=k`), [one.id]);
      assert.deepEqual(await ids(`${all}&flavor=1&vm_state=active`), [one.id]);
      assert.deepEqual(await ids(`${all}&limit=1`), [one.id]);
      assert.deepEqual(await ids(`${all}&limit=1&marker=${one.id}`), [two.id]);
      assert.deepEqual(await ids(`${all}&limit=0`), []);
      assert.deepEqual(await ids("status=nonsense", "2.37"), []);
      // A filter on hosts is dropped for those who may not use it.
      assert.ok((await ids("host=nowhere&limit=5", "2.1", "member")).length > 0);
    });

    it("shows each reader every change at once", async () => {
      const { id } = await world.givenServer({ name: "before", host: "host-9" });
      const seen = async (who: "admin" | "member", path = "/servers/detail", version = "2.96") => {
        const answer = await world.ask(who, "GET", path, { version });
        return answer.body.servers.find((each: { id: string }) => each.id === id);
      };
      assert.equal((await seen("member")).name, "before");
      assert.equal((await seen("member", "/servers")).name, "before");
      assert.equal((await seen("admin", "/servers/detail?all_tenants=1"))["OS-EXT-SRV-ATTR:host"], "host-9");
      assert.equal("OS-EXT-SRV-ATTR:host" in (await seen("member")), false);
      assert.equal("locked" in (await seen("member", "/servers/detail", "2.8")), false);
      await world.ask("member", "PUT", `/servers/${id}`, { body: { server: { name: "after" } } });
      assert.equal((await seen("member")).name, "after");
      assert.equal((await seen("member", "/servers")).name, "after");
      await world.ask("member", "POST", `/servers/${id}/action`, { body: { lock: null } });
      assert.equal((await seen("member")).locked, true);
      assert.equal((await seen("member", "/servers/detail", "2.8")).name, "after");
      await world.ask("admin", "POST", `/servers/${id}/action`, { body: { "os-resetState": { state: "error" } } });
      assert.equal((await seen("member")).status, "ERROR");
    });

    it("links to the next page with all parameters sorted", async () => {
      const answer = await world.ask("admin", "GET", "/servers?sort_key=uuid&limit=2&sort_dir=asc");
      const { href } = answer.body.servers_links[0];
      const last = answer.body.servers[1].id;
      assert.equal(href, `http://localhost:80/compute/v2.1/servers?limit=2&marker=${last}&sort_dir=asc&sort_key=uuid`);
    });

    it("shows deleted servers to administrators, and to all who ask for changes", async () => {
      const gone = await world.givenServer({ name: "gone", vm_state: "deleted", deleted_at: world.clock.now() });
      const names = async (who: "admin" | "member", query: string) => {
        const answer = await world.ask(who, "GET", `/servers?${query}`);
        return answer.body.servers.map((each: { name: string }) => each.name) as string[];
      };
      assert.equal((await world.ask("member", "GET", `/servers/${gone.id}`)).status, 404);
      assert.deepEqual(await names("admin", "deleted=true&name=gone"), ["gone"]);
      assert.deepEqual(await names("member", "deleted=true&name=gone"), []);
      assert.deepEqual(await names("admin", "status=DELETED&name=gone"), ["gone"]);
      assert.deepEqual(await names("member", "changes-since=2020-01-01T00:00:00Z&name=gone"), ["gone"]);
      assert.equal((await world.ask("member", "GET", "/servers?status=deleted")).status, 403);
    });

    it("keeps projects apart", async () => {
      assert.equal((await world.ask("member", "GET", "/servers?all_tenants=1")).status, 403);
      const everything = await world.ask("admin", "GET", "/servers/detail?all_tenants=");
      const projects = new Set(everything.body.servers.map((each: { tenant_id: string }) => each.tenant_id));
      assert.deepEqual([...projects].sort(), [PROJECT, OTHER_PROJECT]);
      const one = await world.ask("admin", "GET", `/servers/detail?all_tenants=1&project_id=${OTHER_PROJECT}`);
      assert.ok(one.body.servers.every((each: { tenant_id: string }) => each.tenant_id === OTHER_PROJECT));
      const own = await world.ask("otherAdmin", "GET", "/servers/detail");
      assert.ok(own.body.servers.every((each: { tenant_id: string }) => each.tenant_id === OTHER_PROJECT));
    });

    it("refuses bad queries with 400", async () => {
      const bad: [string, string?][] = [
        [`marker=${world.ids.uuid()}`],
        ["limit=-1"],
        ["limit=x"],
        ["all_tenants=x"],
        ["changes-since=x"],
        ["status=x", "2.38"],
        ["nonsense=1", "2.75"],
        ["sort_key=nonsense"],
        ["changes-since=2026-01-02T00:00:00Z&changes-before=2026-01-01T00:00:00Z", "2.66"],
      ];
      for (const [query, version = "2.1"] of bad) {
        const answer = await world.ask("admin", "GET", `/servers?${query}`, { version });
        assert.equal(answer.status, 400, query);
      }
      assert.equal((await world.ask("admin", "GET", "/servers?nonsense=1", { version: "2.74" })).status, 200);
    });

    it("filters by address", async () => {
      const created = (await create({ name: "addressed" })).body.server;
      const shown = (await world.ask("member", "GET", `/servers/${created.id}/ips`)).body;
      const { addr } = shown.addresses.private[0];
      const found = await world.ask("member", "GET", `/servers?ip=^${addr}$`);
      assert.deepEqual(
        found.body.servers.map((each: { id: string }) => each.id),
        [created.id],
      );
    });
  });

  describe("one server", () => {
    it("is not there for strangers and bad ids", async () => {
      const server = await world.givenServer();
      for (const id of [world.ids.uuid(), "999", "../x"]) {
        assert.equal((await world.ask("member", "GET", `/servers/${encodeURIComponent(id)}`)).status, 404, id);
      }
      assert.equal((await world.ask("stranger", "GET", `/servers/${server.id}`)).status, 404);
      assert.equal((await world.ask("otherAdmin", "GET", `/servers/${server.id}`)).status, 200);
      assert.equal((await world.ask("systemAdmin", "GET", `/servers/${server.id}`)).status, 403);
      assert.equal((await world.ask("reader", "DELETE", `/servers/${server.id}`)).status, 403);
    });

    it("shows hosts, progress and faults to whom they belong", async () => {
      const fault = { code: 500, message: "No valid host", details: "secret", created: world.clock.now() };
      const failed = await world.givenServer({ vm_state: "error", fault: JSON.stringify(fault) });
      const show = async (who: "admin" | "member", version = "2.90") =>
        (await world.ask(who, "GET", `/servers/${failed.id}`, { version })).body.server;
      const forMember = await show("member");
      assert.equal(forMember.fault.message, "No valid host");
      assert.equal("details" in forMember.fault, false);
      assert.equal("progress" in forMember, false);
      assert.equal("OS-EXT-SRV-ATTR:host" in forMember, false);
      assert.equal("host_status" in forMember, false);
      assert.match(forMember.hostId, /^[0-9a-f]{56}$/);
      const forAdmin = await show("admin");
      assert.equal(forAdmin.fault.details, "secret");
      assert.equal(forAdmin["OS-EXT-SRV-ATTR:host"], "host-1");
      assert.equal(forAdmin.host_status, "UP");
    });

    it("is updated, locked or not, and deleted once", async () => {
      const server = await world.givenServer({ locked: 1 });
      const body = { server: { name: "renamed", accessIPv4: "192.0.2.1" } };
      const updated = await world.ask("member", "PUT", `/servers/${server.id}`, { body });
      assert.equal(updated.status, 200);
      assert.deepEqual([updated.body.server.name, updated.body.server.accessIPv4], ["renamed", "192.0.2.1"]);
      const bad = { server: { name: " padded" } };
      assert.equal((await world.ask("member", "PUT", `/servers/${server.id}`, { body: bad })).status, 400);
      assert.equal((await world.ask("member", "DELETE", `/servers/${server.id}`)).status, 409);
      assert.equal((await world.ask("admin", "DELETE", `/servers/${server.id}`)).status, 204);
      assert.equal((await world.ask("admin", "DELETE", `/servers/${server.id}`)).status, 204);
      const names = (await liveOperations(world.store.read, server.id)).map((operation) => operation.name);
      assert.deepEqual(names, ["server.delete"]);
    });

    it("has metadata", async () => {
      const { id } = await world.givenServer();
      const path = `/servers/${id}/metadata`;
      const put = await world.ask("member", "PUT", path, { body: { metadata: { a: "1", b: "2" } } });
      assert.deepEqual(put.body, { metadata: { a: "1", b: "2" } });
      const added = await world.ask("member", "POST", path, { body: { metadata: { c: "3" } } });
      assert.deepEqual(added.body, { metadata: { a: "1", b: "2", c: "3" } });
      assert.deepEqual((await world.ask("reader", "GET", `${path}/a`)).body, { meta: { a: "1" } });
      assert.equal((await world.ask("member", "PUT", `${path}/a`, { body: { meta: { z: "9" } } })).status, 400);
      assert.equal((await world.ask("member", "DELETE", `${path}/a`)).status, 204);
      assert.equal((await world.ask("member", "DELETE", `${path}/a`)).status, 404);
      assert.deepEqual((await world.ask("reader", "GET", path)).body, { metadata: { b: "2", c: "3" } });
      assert.equal((await world.ask("reader", "POST", path, { body: { metadata: {} } })).status, 403);
    });

    it("has tags from 2.26", async () => {
      const { id } = await world.givenServer();
      const ask = (method: string, path: string, body?: object, version = "2.26") =>
        world.ask("member", method, `/servers/${id}/tags${path}`, { version, ...(body ? { body } : {}) });
      assert.equal((await ask("GET", "", undefined, "2.25")).status, 404);
      assert.equal((await ask("PUT", "", { tags: ["b", "b"] })).status, 400);
      assert.deepEqual((await ask("PUT", "", { tags: ["b", "a"] })).body, { tags: ["a", "b"] });
      assert.equal((await ask("PUT", "/c")).status, 201);
      assert.equal((await ask("PUT", "/c")).status, 204);
      assert.equal((await ask("GET", "/c")).status, 204);
      assert.equal((await ask("GET", "/d")).status, 404);
      assert.equal((await ask("DELETE", "/a")).status, 204);
      assert.equal((await ask("DELETE", "/a")).status, 404);
      assert.deepEqual((await ask("GET", "")).body, { tags: ["b", "c"] });
      assert.equal((await ask("DELETE", "")).status, 204);
      assert.deepEqual((await ask("GET", "")).body, { tags: [] });
    });

    it("has a console", async () => {
      const { id } = await world.givenServer();
      const output = await world.act("member", id, { "os-getConsoleOutput": { length: "5" } });
      assert.equal(output.status, 200);
      assert.match(output.body.output, /on host-1: 5 lines/);
      const body = { remote_console: { protocol: "serial", type: "serial" } };
      const remote = await world.ask("member", "POST", `/servers/${id}/remote-consoles`, { body, version: "2.6" });
      assert.equal(remote.status, 200, JSON.stringify(remote.body));
      assert.match(remote.body.remote_console.url, /^ws:\/\/localhost:80\/console\/serial\?token=/);
      const vnc = { remote_console: { protocol: "vnc", type: "novnc" } };
      assert.equal(
        (await world.ask("member", "POST", `/servers/${id}/remote-consoles`, { body: vnc, version: "2.6" })).status,
        400,
      );
      const unplaced = await world.givenServer({ host: null, launched_at: null, vm_state: "building" });
      assert.equal((await world.act("member", unplaced.id, { "os-getConsoleOutput": {} })).status, 409);
    });

    it("has interfaces", async () => {
      const { server } = (await create({ name: "wired" })).body;
      const path = `/servers/${server.id}/os-interface`;
      const [first] = (await world.ask("reader", "GET", path)).body.interfaceAttachments;
      assert.deepEqual(Object.keys(first).sort(), ["fixed_ips", "mac_addr", "net_id", "port_id", "port_state"]);
      const body = { interfaceAttachment: { net_id: first.net_id } };
      assert.equal((await world.ask("member", "POST", path, { body })).status, 409, "it is still building");
      const running = await world.givenServer();
      const attached = await world.ask("member", "POST", `/servers/${running.id}/os-interface`, { body });
      assert.equal(attached.status, 200, JSON.stringify(attached.body));
      const port = attached.body.interfaceAttachment.port_id;
      assert.equal((await world.ask("member", "GET", `/servers/${running.id}/os-interface/${port}`)).status, 200);
      assert.equal((await world.ask("member", "DELETE", `/servers/${running.id}/os-interface/${port}`)).status, 202);
      assert.equal((await world.ask("member", "DELETE", `/servers/${running.id}/os-interface/${port}`)).status, 404);
      assert.deepEqual((await world.ask("reader", "GET", `/servers/${running.id}/os-volume_attachments`)).body, {
        volumeAttachments: [],
      });
    });
  });
});
