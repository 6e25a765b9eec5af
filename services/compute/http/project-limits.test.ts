import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import { OTHER_PROJECT, PROJECT } from "../../../kernel/http/testing/people-api.ts";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import type { ComputeWorld } from "../testing/compute-world.ts";
import { resourceWorld } from "../testing/resource-world.ts";

onBothStores("quotas, limits, groups, usage, extensions", (open) => {
  let world: ComputeWorld;
  before(async () => {
    world = await resourceWorld(open);
    await world.givenServer();
    await world.givenServer();
  });
  after(() => world.close());

  const quotas = (method: string, path: string, version: string, body?: unknown, who: "admin" | "reader" = "admin") =>
    world.ask(who, method, `/os-quota-sets/${path}`, { version, ...(body === undefined ? {} : { body }) });
  const KEPT = ["cores", "instances", "key_pairs", "metadata_items", "ram", "server_group_members", "server_groups"];
  const INJECTED = ["injected_file_content_bytes", "injected_file_path_bytes", "injected_files"];
  const NETWORK = ["fixed_ips", "floating_ips", "security_group_rules", "security_groups"];

  it("shows the quotas that a version knows", async () => {
    for (const [version, names] of [
      ["2.1", [...KEPT, ...INJECTED, ...NETWORK]],
      ["2.36", [...KEPT, ...INJECTED]],
      ["2.57", KEPT],
    ] as const) {
      const shown = await quotas("GET", PROJECT, version, undefined, "reader");
      assert.deepEqual(Object.keys(shown.body.quota_set).sort(), ["id", ...names].sort());
      const defaults = await quotas("GET", `${OTHER_PROJECT}/defaults`, version, undefined, "reader");
      assert.deepEqual(defaults.body.quota_set, { ...shown.body.quota_set, id: OTHER_PROJECT });
    }
    assert.equal((await quotas("GET", OTHER_PROJECT, "2.57", undefined, "reader")).status, 403);
    const detail = await quotas("GET", `${PROJECT}/detail`, "2.57");
    assert.deepEqual(detail.body.quota_set.ram, { limit: 51_200, in_use: 1024, reserved: 0 });
    assert.deepEqual(detail.body.quota_set.instances, { limit: 10, in_use: 2, reserved: 0 });
  });

  it("sets, checks and forgets quotas", async () => {
    const set = await quotas("PUT", PROJECT, "2.57", { quota_set: { instances: "5", ram: -1 } });
    assert.equal(set.status, 200, JSON.stringify(set.body));
    assert.deepEqual(Object.keys(set.body.quota_set).sort(), KEPT);
    assert.deepEqual([set.body.quota_set.instances, set.body.quota_set.ram], [5, -1]);
    assert.equal((await quotas("PUT", PROJECT, "2.57", { quota_set: { instances: 1 } })).status, 400);
    assert.equal((await quotas("PUT", PROJECT, "2.57", { quota_set: { instances: 1, force: "True" } })).status, 200);
    assert.equal((await quotas("PUT", PROJECT, "2.57", { quota_set: { instances: -2 } })).status, 400);
    assert.equal((await quotas("PUT", PROJECT, "2.57", { quota_set: { floating_ips: 3 } })).status, 400);
    assert.equal((await quotas("PUT", PROJECT, "2.35", { quota_set: { floating_ips: 3 } })).status, 200);
    assert.equal((await quotas("PUT", "nobody", "2.57", { quota_set: { cores: 3 } })).status, 400);
    assert.equal((await quotas("PUT", `${PROJECT}?user_id=u`, "2.57", { quota_set: { cores: 3 } })).status, 400);
    assert.equal((await quotas("PUT", PROJECT, "2.57", { quota_set: { cores: 3 } }, "reader")).status, 403);
    const legacy = { root: "/compute/v2", body: { quota_set: { cores: 7, colour: 3 } } };
    assert.equal((await world.ask("admin", "PUT", `/os-quota-sets/${PROJECT}`, legacy)).body.quota_set.cores, 7);
    assert.equal((await quotas("DELETE", PROJECT, "2.57")).status, 202);
    const again = (await quotas("GET", PROJECT, "2.57")).body.quota_set;
    assert.deepEqual([again.instances, again.cores], [10, 20]);
  });

  it("shows and sets the quotas of those that have none of their own", async () => {
    const classes = (method: string, id: string, version: string, body?: unknown, who: "admin" | "reader" = "admin") =>
      world.ask(who, method, `/os-quota-class-sets/${id}`, { version, ...(body === undefined ? {} : { body }) });
    const old = KEPT.filter((name) => !name.startsWith("server_group"));
    for (const [version, names] of [
      ["2.1", [...old, ...INJECTED, ...NETWORK]],
      ["2.49", [...old, ...INJECTED]],
      ["2.50", [...KEPT, ...INJECTED]],
      ["2.57", KEPT],
    ] as const) {
      const shown = await classes("GET", "default", version);
      assert.deepEqual(Object.keys(shown.body.quota_class_set).sort(), ["id", ...names].sort(), version);
      assert.equal(shown.body.quota_class_set.instances, 10);
    }
    const set = await classes("PUT", "default", "2.57", { quota_class_set: { key_pairs: "7", cores: -1 } });
    assert.equal(set.status, 200, JSON.stringify(set.body));
    assert.deepEqual(Object.keys(set.body.quota_class_set).sort(), KEPT);
    const defaults = (await quotas("GET", `${OTHER_PROJECT}/defaults`, "2.57")).body.quota_set;
    assert.deepEqual([defaults.key_pairs, defaults.cores], [7, -1]);
    assert.equal((await quotas("GET", OTHER_PROJECT, "2.57")).body.quota_set.key_pairs, 7);
    assert.equal((await classes("PUT", "gold", "2.57", { quota_class_set: { cores: 3 } })).status, 200);
    assert.equal((await classes("GET", "gold", "2.57")).body.quota_class_set.cores, 3);
    assert.equal((await quotas("GET", OTHER_PROJECT, "2.57")).body.quota_set.cores, -1);
    assert.equal((await classes("PUT", "default", "2.57", { quota_class_set: { floating_ips: 3 } })).status, 400);
    assert.equal((await classes("PUT", "default", "2.57", { quota_class_set: { cores: "many" } })).status, 400);
    assert.equal((await classes("GET", "default", "2.57", undefined, "reader")).status, 403);
    assert.equal((await classes("PUT", "default", "2.57", { quota_class_set: {} }, "reader")).status, 403);
    await classes("PUT", "default", "2.57", { quota_class_set: { key_pairs: 100, cores: 20 } });
  });

  it("shows limits", async () => {
    const kept = ["maxServerGroupMembers", "maxServerGroups", "maxServerMeta", "maxTotalCores", "maxTotalInstances"];
    kept.push("maxTotalKeypairs", "maxTotalRAMSize", "totalCoresUsed", "totalInstancesUsed", "totalRAMUsed");
    kept.push("totalServerGroupsUsed");
    const injected = ["maxPersonality", "maxPersonalitySize"];
    const network = ["maxSecurityGroupRules", "maxSecurityGroups", "maxTotalFloatingIps"];
    network.push("totalFloatingIpsUsed", "totalSecurityGroupsUsed");
    for (const [version, names] of [
      ["2.1", [...kept, ...injected, ...network, "maxImageMeta"]],
      ["2.36", [...kept, ...injected, "maxImageMeta"]],
      ["2.39", [...kept, ...injected]],
      ["2.57", kept],
    ] as const) {
      const { limits } = (await world.ask("reader", "GET", "/limits", { version })).body;
      assert.deepEqual([Object.keys(limits.absolute).sort(), limits.rate], [[...names].sort(), []]);
      assert.deepEqual([limits.absolute.totalInstancesUsed, limits.absolute.totalRAMUsed], [2, 1024]);
    }
    const other = `/limits?tenant_id=${OTHER_PROJECT}`;
    assert.equal((await world.ask("reader", "GET", other)).status, 403);
    assert.equal((await world.ask("admin", "GET", other)).body.limits.absolute.totalInstancesUsed, 0);
    assert.equal((await world.ask("reader", "GET", "/limits?x=1", { version: "2.75" })).status, 400);
  });

  const group = (body: unknown, version: string, who: "member" | "reader" | "stranger" = "member") =>
    world.ask(who, "POST", "/os-server-groups", { version, body: { server_group: body } });

  it("keeps server groups", async () => {
    const old = await group({ name: "old", policies: ["affinity"] }, "2.1");
    assert.equal(old.status, 200, JSON.stringify(old.body));
    const { id } = old.body.server_group;
    assert.deepEqual(old.body.server_group, { id, name: "old", policies: ["affinity"], members: [], metadata: {} });
    const at = async (version: string) =>
      Object.keys((await world.ask("reader", "GET", `/os-server-groups/${id}`, { version })).body.server_group).sort();
    assert.deepEqual(await at("2.13"), ["id", "members", "metadata", "name", "policies", "project_id", "user_id"]);
    assert.deepEqual(await at("2.64"), ["id", "members", "name", "policy", "project_id", "rules", "user_id"]);
    const ruled = await group({ name: "new", policy: "anti-affinity", rules: { max_server_per_host: 3 } }, "2.64");
    assert.deepEqual(ruled.body.server_group.rules, { max_server_per_host: 3 });
    const soft = { name: "soft", policies: ["soft-affinity"] };
    assert.equal((await group(soft, "2.14")).status, 400);
    assert.equal((await group(soft, "2.15")).status, 200);
    assert.equal(
      (await group({ name: "x", policy: "affinity", rules: { max_server_per_host: 3 } }, "2.64")).status,
      400,
    );
    assert.equal((await group({ name: "x", policies: ["affinity", "anti-affinity"] }, "2.15")).status, 400);
    assert.equal((await group(soft, "2.15", "reader")).status, 403);

    const list = async (who: "reader" | "stranger" | "admin" | "otherAdmin", query = "") =>
      (await world.ask(who, "GET", `/os-server-groups${query}`)).body.server_groups.length;
    assert.deepEqual([await list("reader"), await list("reader", "?limit=1&offset=1")], [3, 1]);
    assert.deepEqual([await list("stranger", "?all_projects=1"), await list("otherAdmin", "?all_projects")], [0, 3]);
    assert.equal((await world.ask("stranger", "GET", `/os-server-groups/${id}`)).status, 403);
    assert.equal((await world.ask("member", "DELETE", `/os-server-groups/${id}`)).status, 204);
    assert.equal((await world.ask("member", "DELETE", `/os-server-groups/${id}`)).status, 404);

    await quotas("PUT", OTHER_PROJECT, "2.57", { quota_set: { server_groups: 0 } });
    assert.equal((await group({ name: "x", policies: ["affinity"] }, "2.1", "stranger")).status, 403);
  });

  it("computes usage from the servers' times", async () => {
    const hour = 3_600_000;
    const now = world.clock.now();
    const ended = { launched_at: now - 3 * hour, deleted_at: now - hour };
    await world.givenServer({ ...ended, project_id: OTHER_PROJECT, name: "gone" });
    await world.givenServer({ ...ended, project_id: OTHER_PROJECT, launched_at: null });
    const time = (ms: number) => new Date(ms).toISOString().slice(0, 19);
    const period = `start=${time(now - 2 * hour)}&end=${time(now + hour)}`;
    const one = await world.ask("admin", "GET", `/os-simple-tenant-usage/${OTHER_PROJECT}?${period}`);
    assert.equal(one.status, 200, JSON.stringify(one.body));
    const { server_usages: servers, ...sums } = one.body.tenant_usage;
    assert.deepEqual([sums.total_hours, sums.total_memory_mb_usage, sums.total_vcpus_usage], [1, 512, 1]);
    assert.deepEqual(
      [servers.length, servers[0].state, servers[0].hours, servers[0].uptime],
      [1, "terminated", 1, 7200],
    );
    const all = await world.ask("admin", "GET", `/os-simple-tenant-usage?${period}`);
    assert.deepEqual(all.body.tenant_usages.map((usage: { total_hours: number }) => usage.total_hours).sort(), [1, 2]);
    assert.equal("server_usages" in all.body.tenant_usages[0], false);
    const page = await world.ask("admin", "GET", `/os-simple-tenant-usage?${period}&limit=1&detailed=1`, {
      version: "2.40",
    });
    assert.equal(page.body.tenant_usages[0].server_usages.length, 1);
    assert.match(page.body.tenant_usages_links[0].href, /limit=1&marker=/);
    assert.deepEqual((await world.ask("stranger", "GET", `/os-simple-tenant-usage/${OTHER_PROJECT}`)).body, {
      tenant_usage: {},
    });
    assert.equal((await world.ask("reader", "GET", `/os-simple-tenant-usage/${OTHER_PROJECT}`)).status, 403);
    assert.equal((await world.ask("reader", "GET", "/os-simple-tenant-usage")).status, 403);
    const wrong = `start=${time(now)}&end=${time(now - hour)}`;
    assert.equal((await world.ask("admin", "GET", `/os-simple-tenant-usage?${wrong}`)).status, 400);
    assert.equal((await world.ask("admin", "GET", "/os-simple-tenant-usage?start=soon")).status, 400);
  });

  it("names its extensions", async () => {
    const all = (await world.ask("reader", "GET", "/extensions")).body.extensions;
    const fields = ["alias", "description", "links", "name", "namespace", "updated"];
    assert.deepEqual(Object.keys(all[0]).sort(), fields);
    const one = await world.ask("reader", "GET", "/extensions/os-migrate-server");
    assert.equal(one.body.extension.alias, "os-migrate-server");
    assert.equal((await world.ask("reader", "GET", "/extensions/toString")).status, 404);
  });
});
