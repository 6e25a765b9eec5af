import assert from "node:assert/strict";
import { test } from "node:test";
import { systemIds } from "../../../kernel/ids/ids.ts";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import { type Answer, type Json, networkServer } from "../testing/network-server.ts";
import { worldMigrations } from "../testing/network-world.ts";

const ADMIN = "admin.ops";
const MEMBER = "member.p1";
const READER = "reader.p1";
const OTHER = "member.p2";

function refused(answer: Answer, status: number, type: string): void {
  assert.equal(answer.status, status, JSON.stringify(answer.body));
  assert.equal(answer.body.NeutronError.type, type);
  assert.deepEqual(Object.keys(answer.body.NeutronError).sort(), ["detail", "message", "type"]);
}

onBothStores("network API", (open) => {
  const start = async () => {
    const { store, dispose } = await open(worldMigrations);
    const server = networkServer(store);
    const make = async (token: string, path: string, body: object): Promise<Json> => {
      const answer = await server.ask(token, "POST", `/v2.0${path}`, body);
      assert.equal(answer.status, 201, JSON.stringify(answer.body));
      return Object.values(answer.body)[0];
    };
    const names = async (token: string, path: string) => {
      const answer = await server.ask(token, "GET", `/v2.0${path}`);
      assert.equal(answer.status, 200, JSON.stringify(answer.body));
      return (Object.values(answer.body)[0] as Json[]).map((each) => each.name);
    };
    return { ...server, make, names, store, dispose };
  };

  test("versions and extensions", async () => {
    const { ask, dispose } = await start();
    const root = await ask("", "GET", "/");
    assert.equal(root.status, 200);
    assert.deepEqual(root.body.versions[0].links[0].href, "http://localhost:80/network/v2.0/");
    assert.equal((await ask("", "GET", "/v2.0/")).status, 401);
    const listed = await ask(READER, "GET", "/v2.0/extensions");
    assert.ok(listed.body.extensions.some((each: Json) => each.alias === "security-group"));
    assert.equal((await ask(READER, "GET", "/v2.0/extensions/provider")).body.extension.alias, "provider");
    refused(await ask(READER, "GET", "/v2.0/extensions/router"), 404, "ExtensionNotFound");
    assert.equal((await ask(READER, "GET", "/v2.0/routers")).status, 404);
    assert.deepEqual((await ask(ADMIN, "GET", "/v2.0/agents")).body, { agents: [] });
    assert.equal((await ask(READER, "GET", "/v2.0/availability_zones")).body.availability_zones[0].name, "nova");
    await dispose();
  });

  test("a network's life", async () => {
    const { ask, make, dispose } = await start();
    const network = await make(MEMBER, "/networks", { network: { name: "n", description: "d", mtu: 1400 } });
    assert.deepEqual(
      [network.status, network.mtu, network.shared, network["router:external"], network.subnets, network.project_id],
      ["ACTIVE", 1400, false, false, [], "p1"],
    );
    assert.ok(!("provider:network_type" in network));
    const path = `/v2.0/networks/${network.id}`;
    const seen = (await ask(ADMIN, "GET", path)).body.network;
    assert.equal(seen["provider:network_type"], "vxlan");
    assert.equal(typeof seen["provider:segmentation_id"], "number");
    assert.deepEqual((await ask(READER, "GET", `${path}?fields=id&fields=name`)).body, {
      network: { id: network.id, name: "n" },
    });
    const changed = await ask(MEMBER, "PUT", path, { network: { name: "m", admin_state_up: "False" } });
    assert.deepEqual(
      [changed.body.network.name, changed.body.network.admin_state_up, changed.body.network.revision_number],
      ["m", false, 2],
    );
    assert.equal((await ask(READER, "DELETE", path)).status, 403);
    refused(await ask(READER, "PUT", path, { network: { name: "x" } }), 403, "PolicyNotAuthorized");
    refused(await ask(OTHER, "GET", path), 404, "NetworkNotFound");
    refused(await ask(OTHER, "DELETE", path), 404, "NetworkNotFound");
    assert.equal((await ask(MEMBER, "DELETE", path)).status, 204);
    refused(await ask(MEMBER, "GET", path), 404, "NetworkNotFound");
    await dispose();
  });

  test("attributes that only administrators may give", async () => {
    const { ask, make, dispose } = await start();
    const wants = [{ shared: true }, { "provider:segmentation_id": 77 }, { project_id: "p2" }];
    for (const want of wants) {
      refused(await ask(MEMBER, "POST", "/v2.0/networks", { network: want }), 403, "PolicyNotAuthorized");
    }
    const network = await make(ADMIN, "/networks", {
      network: {
        name: "shared",
        shared: true,
        tenant_id: "p2",
        "provider:network_type": "vxlan",
        "provider:segmentation_id": 77,
      },
    });
    assert.deepEqual([network.project_id, network["provider:segmentation_id"]], ["p2", 77]);
    refused(
      await ask(ADMIN, "POST", "/v2.0/networks", { network: { "provider:segmentation_id": 77 } }),
      409,
      "TunnelIdInUse",
    );
    refused(
      await ask(MEMBER, "PUT", `/v2.0/networks/${network.id}`, { network: { name: "x" } }),
      403,
      "PolicyNotAuthorized",
    );
    await make(MEMBER, "/ports", { port: { network_id: network.id } });
    refused(
      await ask(ADMIN, "PUT", `/v2.0/networks/${network.id}`, { network: { shared: false } }),
      409,
      "InvalidSharedSetting",
    );
    refused(await ask(ADMIN, "POST", "/v2.0/networks", { network: { "router:external": true } }), 400, "InvalidInput");
    await dispose();
  });

  test("bad bodies and queries are 400", async () => {
    const { ask, dispose } = await start();
    const bodies = [
      { network: { nme: "x" } },
      { network: { name: 5 } },
      { network: { name: "x".repeat(256) } },
      { networks: [] },
      {},
      [],
    ];
    for (const body of bodies) {
      refused(await ask(MEMBER, "POST", "/v2.0/networks", body), 400, "HTTPBadRequest");
    }
    const queries = [
      "limit=-1",
      "limit=x",
      "marker=nope",
      "sort_key=nope",
      "sort_key=name&sort_dir=up",
      "shared=perhaps",
      "mtu=x",
    ];
    for (const query of queries) {
      assert.equal((await ask(MEMBER, "GET", `/v2.0/networks?${query}`)).status, 400, query);
    }
    const inherited = await ask(MEMBER, "GET", "/v2.0/networks?constructor=x&unknown=1");
    assert.equal(inherited.status, 200);
    assert.equal((await ask(MEMBER, "GET", "/v2.0/networks?sort_key=constructor")).status, 400);
    await dispose();
  });

  test("lists: bulk, filters, order and pages", async () => {
    const { ask, make, names, dispose } = await start();
    const bulk = { networks: ["c", "a", "b"].map((name) => ({ name })) };
    assert.equal((await ask(MEMBER, "POST", "/v2.0/networks", bulk)).body.networks.length, 3);
    await make(OTHER, "/networks", { network: { name: "theirs" } });
    await make(ADMIN, "/networks", { network: { name: "all", shared: true } });
    assert.deepEqual((await names(MEMBER, "/networks")).sort(), ["a", "all", "b", "c"]);
    assert.equal((await names(ADMIN, "/networks")).length, 5);
    assert.deepEqual(await names(MEMBER, "/networks?name=a&name=b&sort_key=name"), ["a", "b"]);
    assert.deepEqual(await names(MEMBER, "/networks?shared=True"), ["all"]);
    assert.deepEqual(await names(MEMBER, "/networks?router:external=True"), []);
    assert.deepEqual(await names(ADMIN, "/networks?project_id=p2"), ["theirs"]);
    const seen: string[] = [];
    let path = "/v2.0/networks?sort_key=name&sort_dir=desc&limit=2&fields=name";
    for (let pages = 0; pages < 5; pages += 1) {
      const { body } = await ask(MEMBER, "GET", path);
      seen.push(...body.networks.map((each: Json) => each.name));
      const next = body.networks_links?.find((link: Json) => link.rel === "next");
      if (!next) break;
      path = new URL(next.href).pathname.replace("/network", "") + new URL(next.href).search;
    }
    assert.deepEqual(seen, ["c", "b", "all", "a"]);
    refused(
      await ask(MEMBER, "POST", "/v2.0/networks", { networks: [{ name: "z" }, { name: "y", shared: true }] }),
      403,
      "PolicyNotAuthorized",
    );
    assert.deepEqual(await names(MEMBER, "/networks?name=z"), []);
    await dispose();
  });

  test("subnets: defaults, refusals, changes", async () => {
    const { ask, make, dispose } = await start();
    const network = await make(MEMBER, "/networks", { network: { name: "n" } });
    const subnetOf = (more: object) => ({ subnet: { network_id: network.id, ...more } });
    const v4 = await make(MEMBER, "/subnets", subnetOf({ cidr: "10.0.0.0/24", ip_version: 4 }));
    assert.equal(v4.gateway_ip, "10.0.0.1");
    assert.deepEqual(v4.allocation_pools, [{ start: "10.0.0.2", end: "10.0.0.254" }]);
    const v6 = await make(MEMBER, "/subnets", subnetOf({ cidr: "FD00::/64", ip_version: 6, gateway_ip: null }));
    assert.deepEqual([v6.cidr, v6.gateway_ip], ["fd00::/64", null]);
    assert.deepEqual((await ask(MEMBER, "GET", `/v2.0/networks/${network.id}`)).body.network.subnets, [v4.id, v6.id]);
    const bad = [
      { body: { cidr: "10.0.0.128/25" }, type: "InvalidInput", status: 400 },
      { body: { cidr: "10.1.0.0/33" }, type: "InvalidInput", status: 400 },
      { body: { cidr: "10.1.0.0/24", ip_version: 6 }, type: "InvalidInput", status: 400 },
      { body: { cidr: "10.1.0.0/24", gateway_ip: "10.2.0.1" }, type: "GatewayIpInvalid", status: 400 },
      {
        body: { cidr: "10.1.0.0/24", allocation_pools: [{ start: "10.1.0.9", end: "10.1.1.9" }] },
        type: "OutOfBoundsAllocationPool",
        status: 400,
      },
      {
        body: { cidr: "10.1.0.0/24", allocation_pools: [{ start: "10.1.0.1", end: "10.1.0.9" }] },
        type: "GatewayConflictWithAllocationPools",
        status: 409,
      },
    ];
    for (const { body, type, status } of bad) {
      refused(await ask(MEMBER, "POST", "/v2.0/subnets", subnetOf(body)), status, type);
    }
    refused(await ask(OTHER, "POST", "/v2.0/subnets", subnetOf({ cidr: "10.7.0.0/24" })), 403, "PolicyNotAuthorized");
    const path = `/v2.0/subnets/${v4.id}`;
    const changed = await ask(MEMBER, "PUT", path, {
      subnet: { dns_nameservers: ["1.1.1.1"], host_routes: [{ destination: "10.9.0.0/16", nexthop: "10.0.0.9" }] },
    });
    assert.deepEqual(changed.body.subnet.dns_nameservers, ["1.1.1.1"]);
    const port = await make(MEMBER, "/ports", { port: { network_id: network.id } });
    refused(await ask(MEMBER, "DELETE", path), 409, "SubnetInUse");
    refused(await ask(MEMBER, "DELETE", `/v2.0/networks/${network.id}`), 409, "NetworkInUse");
    assert.equal((await ask(MEMBER, "DELETE", `/v2.0/ports/${port.id}`)).status, 204);
    assert.equal((await ask(MEMBER, "DELETE", path)).status, 204);
    assert.equal((await ask(MEMBER, "DELETE", `/v2.0/networks/${network.id}`)).status, 204);
    refused(await ask(MEMBER, "GET", `/v2.0/subnets/${v6.id}`), 404, "SubnetNotFound");
    await dispose();
  });

  test("ports: addresses, MACs, binding, filters", async () => {
    const { ask, make, dispose } = await start();
    const network = await make(MEMBER, "/networks", { network: { name: "n" } });
    const subnet = await make(MEMBER, "/subnets", { subnet: { network_id: network.id, cidr: "10.0.0.0/24" } });
    const portOf = (more: object) => ({ port: { network_id: network.id, ...more } });
    const first = await make(MEMBER, "/ports", portOf({ name: "a" }));
    assert.deepEqual(first.fixed_ips, [{ subnet_id: subnet.id, ip_address: "10.0.0.2" }]);
    assert.equal(first.security_groups.length, 1);
    assert.equal(first.status, "DOWN");
    assert.ok(!("binding:host_id" in first));
    const second = await make(
      MEMBER,
      "/ports",
      portOf({ mac_address: "FA-16-3E-00-00-01", fixed_ips: [{ ip_address: "10.0.0.50" }], security_groups: [] }),
    );
    assert.deepEqual([second.mac_address, second.security_groups], ["fa:16:3e:00:00:01", []]);
    const bad = [
      { more: { mac_address: "fa:16:3e:00:00:01" }, status: 409, type: "MacAddressInUse" },
      { more: { mac_address: "01:00:00:00:00:01" }, status: 400, type: "InvalidInput" },
      { more: { fixed_ips: [{ ip_address: "10.0.0.50" }] }, status: 409, type: "IpAddressAlreadyAllocated" },
      { more: { fixed_ips: [{ ip_address: "10.5.0.50" }] }, status: 400, type: "InvalidIpForNetwork" },
      { more: { fixed_ips: [{ ip_address: "10.0.0.255" }] }, status: 400, type: "InvalidIpForNetwork" },
      { more: { fixed_ips: [{ subnet_id: systemIds.uuid() }] }, status: 400, type: "InvalidInput" },
      { more: { security_groups: [systemIds.uuid()] }, status: 404, type: "SecurityGroupNotFound" },
      { more: { "binding:host_id": "host-1" }, status: 403, type: "PolicyNotAuthorized" },
    ];
    for (const { more, status, type } of bad) {
      refused(await ask(MEMBER, "POST", "/v2.0/ports", portOf(more)), status, type);
    }
    refused(
      await ask(MEMBER, "POST", "/v2.0/ports", { port: { network_id: systemIds.uuid() } }),
      404,
      "NetworkNotFound",
    );
    const path = `/v2.0/ports/${first.id}`;
    const bound = await ask(ADMIN, "PUT", path, { port: { "binding:host_id": "host-1" } });
    assert.deepEqual([bound.body.port["binding:host_id"], bound.body.port.status], ["host-1", "ACTIVE"]);
    const two = [
      { subnet_id: subnet.id, ip_address: "10.0.0.2" },
      { subnet_id: subnet.id, ip_address: "10.0.0.60" },
    ];
    const moved = await ask(MEMBER, "PUT", path, { port: { name: "b", fixed_ips: two } });
    assert.deepEqual(moved.body.port.fixed_ips, two);
    const find = async (query: string) =>
      (await ask(MEMBER, "GET", `/v2.0/ports?${query}`)).body.ports.map((p: Json) => p.id);
    assert.deepEqual(await find("fixed_ips=ip_address%3D10.0.0.60"), [first.id]);
    assert.deepEqual(await find("mac_address=FA:16:3E:00:00:01"), [second.id]);
    assert.deepEqual(await find(`fixed_ips=subnet_id%3D${subnet.id}&name=b`), [first.id]);
    assert.deepEqual((await ask(OTHER, "GET", "/v2.0/ports")).body.ports, []);
    await dispose();
  });

  test("on a shared network, strangers do not choose addresses", async () => {
    const { ask, make, dispose } = await start();
    const network = await make(ADMIN, "/networks", { network: { name: "n", shared: true } });
    const subnet = await make(ADMIN, "/subnets", { subnet: { network_id: network.id, cidr: "10.0.0.0/24" } });
    const portOf = (more: object) => ({ port: { network_id: network.id, ...more } });
    const byIp = portOf({ fixed_ips: [{ ip_address: "10.0.0.9" }] });
    refused(await ask(MEMBER, "POST", "/v2.0/ports", byIp), 403, "PolicyNotAuthorized");
    refused(
      await ask(MEMBER, "POST", "/v2.0/ports", portOf({ mac_address: "fa:16:3e:00:00:09" })),
      403,
      "PolicyNotAuthorized",
    );
    await make(MEMBER, "/ports", portOf({ fixed_ips: [{ subnet_id: subnet.id }] }));
    assert.equal((await ask(MEMBER, "GET", `/v2.0/subnets/${subnet.id}`)).status, 200);
    await dispose();
  });

  test("security groups and rules are kept", async () => {
    const { ask, make, names, dispose } = await start();
    assert.deepEqual(await names(MEMBER, "/security-groups"), ["default"]);
    const group = await make(MEMBER, "/security-groups", { security_group: { name: "web", description: "w" } });
    assert.equal(group.security_group_rules.length, 2);
    const ruleOf = (more: object) => ({
      security_group_rule: { security_group_id: group.id, direction: "ingress", ...more },
    });
    const rule = await make(
      MEMBER,
      "/security-group-rules",
      ruleOf({ protocol: "tcp", port_range_min: "80", port_range_max: 80, remote_ip_prefix: "10.0.0.7/8" }),
    );
    assert.deepEqual([rule.port_range_min, rule.remote_ip_prefix, rule.ethertype], [80, "10.0.0.0/8", "IPv4"]);
    const bad = [
      {
        more: { protocol: "tcp", port_range_min: 80, port_range_max: 80, remote_ip_prefix: "10.0.0.0/8" },
        status: 409,
        type: "SecurityGroupRuleExists",
      },
      {
        more: { protocol: "tcp", port_range_min: 90, port_range_max: 80 },
        status: 400,
        type: "SecurityGroupInvalidPortRange",
      },
      {
        more: { port_range_min: 80, port_range_max: 80 },
        status: 400,
        type: "SecurityGroupRuleProtocolRequiredWithPorts",
      },
      { more: { protocol: "bogus" }, status: 400, type: "SecurityGroupRuleInvalidProtocol" },
      {
        more: { ethertype: "IPv6", remote_ip_prefix: "10.0.0.0/8" },
        status: 400,
        type: "SecurityGroupRuleParameterConflict",
      },
      { more: { remote_group_id: systemIds.uuid() }, status: 404, type: "SecurityGroupNotFound" },
    ];
    for (const { more, status, type } of bad) {
      refused(await ask(MEMBER, "POST", "/v2.0/security-group-rules", ruleOf(more)), status, type);
    }
    refused(await ask(OTHER, "GET", `/v2.0/security-groups/${group.id}`), 404, "SecurityGroupNotFound");
    const listed = await ask(MEMBER, "GET", `/v2.0/security-group-rules?security_group_id=${group.id}`);
    assert.equal(listed.body.security_group_rules.length, 3);
    const network = await make(MEMBER, "/networks", { network: {} });
    const port = await make(MEMBER, "/ports", { port: { network_id: network.id, security_groups: [group.id] } });
    refused(await ask(MEMBER, "DELETE", `/v2.0/security-groups/${group.id}`), 409, "SecurityGroupInUse");
    await ask(MEMBER, "PUT", `/v2.0/ports/${port.id}`, { port: { security_groups: [] } });
    assert.equal((await ask(MEMBER, "DELETE", `/v2.0/security-group-rules/${rule.id}`)).status, 204);
    assert.equal((await ask(MEMBER, "DELETE", `/v2.0/security-groups/${group.id}`)).status, 204);
    const [byDefault] = (await ask(MEMBER, "GET", "/v2.0/security-groups")).body.security_groups;
    const kept = await ask(MEMBER, "DELETE", `/v2.0/security-groups/${byDefault.id}`);
    refused(kept, 409, "SecurityGroupCannotRemoveDefault");
    await dispose();
  });

  test("quotas hold, also when requests come together", async () => {
    const { ask, dispose } = await start();
    assert.equal((await ask(READER, "GET", "/v2.0/quotas/p1")).body.quota.network, 100);
    refused(await ask(READER, "GET", "/v2.0/quotas/p2"), 403, "PolicyNotAuthorized");
    refused(await ask(MEMBER, "PUT", "/v2.0/quotas/p1", { quota: { network: 5 } }), 403, "PolicyNotAuthorized");
    const set = await ask(ADMIN, "PUT", "/v2.0/quotas/p1", { quota: { network: 3 } });
    assert.deepEqual([set.body.quota.network, set.body.quota.port], [3, 500]);
    const answers = await Promise.all(
      Array.from({ length: 6 }, () => ask(MEMBER, "POST", "/v2.0/networks", { network: {} })),
    );
    assert.equal(answers.filter((answer) => answer.status === 201).length, 3);
    for (const answer of answers) if (answer.status !== 201) refused(answer, 409, "OverQuota");
    const details = async (path: string) => (await ask(READER, "GET", `/v2.0/quotas/p1/${path}`)).body.quota.network;
    for (const path of ["details", "details.json"])
      assert.deepEqual(await details(path), { limit: 3, used: 3, reserved: 0 });
    assert.equal((await ask(ADMIN, "GET", "/v2.0/quotas")).body.quotas[0].project_id, "p1");
    assert.equal((await ask(ADMIN, "DELETE", "/v2.0/quotas/p1")).status, 204);
    assert.equal((await ask(READER, "GET", "/v2.0/quotas/p1")).body.quota.network, 100);
    await dispose();
  });

  test("tags", async () => {
    const { ask, make, names, dispose } = await start();
    const network = await make(MEMBER, "/networks", { network: { name: "n" } });
    await make(MEMBER, "/networks", { network: { name: "m" } });
    const path = `/v2.0/networks/${network.id}/tags`;
    assert.deepEqual((await ask(MEMBER, "PUT", path, { tags: ["red", "blue"] })).body, { tags: ["red", "blue"] });
    assert.equal((await ask(MEMBER, "PUT", `${path}/green`)).status, 201);
    assert.deepEqual((await ask(READER, "GET", path)).body.tags, ["blue", "green", "red"]);
    assert.equal((await ask(READER, "PUT", `${path}/x`)).status, 403);
    assert.deepEqual(await names(MEMBER, "/networks?tags=red,blue"), ["n"]);
    assert.deepEqual(await names(MEMBER, "/networks?tags=red&tags=black"), []);
    assert.deepEqual(await names(MEMBER, "/networks?tags-any=red,black"), ["n"]);
    assert.deepEqual(await names(MEMBER, "/networks?not-tags=red"), ["m"]);
    assert.equal((await ask(MEMBER, "DELETE", `${path}/green`)).status, 204);
    refused(await ask(MEMBER, "DELETE", `${path}/green`), 404, "TagNotFound");
    assert.equal((await ask(MEMBER, "DELETE", path)).status, 204);
    assert.deepEqual((await ask(READER, "GET", path)).body.tags, []);
    await dispose();
  });

  test("the default network is made once", async () => {
    const { service, names, dispose } = await start();
    const first = await service.ensureDefaultNetwork({ projectId: "ops" });
    assert.equal((await service.ensureDefaultNetwork({ projectId: "ops" })).id, first.id);
    assert.deepEqual(await names(MEMBER, "/networks"), ["private"]);
    assert.deepEqual(await names(MEMBER, "/subnets"), ["private-subnet"]);
    await dispose();
  });
});
