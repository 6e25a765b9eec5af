import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type NetworkImageCloud, networkImageCloud } from "./support/network-image-cloud.ts";
import { cliMissing } from "./support/openstack-cli.ts";

type Shown = Readonly<Record<string, unknown>> & { readonly id: string };
type Listed = Readonly<Record<string, unknown>> & { readonly ID: string; readonly Name: string };

describe("networks, as the openstack client sees them", { skip: cliMissing }, () => {
  let cloud: NetworkImageCloud;
  before(async () => {
    cloud = await networkImageCloud();
  });
  after(() => cloud.dispose());

  const names = async (...args: string[]) => (await cloud.demo.json<Listed[]>(args)).map((each) => each.Name);

  it("shows the default network and the extensions", async () => {
    const [network, ...others] = await cloud.demo.json<Listed[]>(["network", "list", "--long"]);
    assert.equal(others.length, 0);
    assert.deepEqual([network?.Name, network?.Shared, network?.Status], ["private", true, "ACTIVE"]);
    const [subnet] = await cloud.demo.json<Listed[]>(["subnet", "list"]);
    assert.equal(subnet?.Subnet, "10.20.0.0/24");
    const extensions = await cloud.demo.json<{ Alias: string }[]>(["extension", "list", "--network"]);
    assert.ok(extensions.some((each) => each.Alias === "security-group"));
    assert.ok(!extensions.some((each) => each.Alias === "router"));
    const zones = await cloud.demo.json<Listed[]>(["availability", "zone", "list", "--network"]);
    assert.equal(zones[0]?.["Zone Name"], "nova");
    assert.deepEqual(await cloud.admin.json(["network", "agent", "list"]), []);
  });

  it("creates, changes and deletes networks and subnets", async () => {
    const network = await cloud.demo.json<Shown>([
      "network",
      "create",
      "--description",
      "first",
      "--mtu",
      "1400",
      "blue",
    ]);
    assert.deepEqual([network.name, network.mtu, network.status, network.shared], ["blue", 1400, "ACTIVE", false]);
    await cloud.demo.ok(["network", "set", "--name", "green", "--tag", "t1", "--disable", "blue"]);
    const changed = await cloud.demo.json<Shown>(["network", "show", "green"]);
    assert.deepEqual([changed.id, changed.admin_state_up, changed.tags], [network.id, false, ["t1"]]);
    assert.deepEqual(await names("network", "list", "--tags", "t1"), ["green"]);
    const subnet = await cloud.demo.json<Shown>([
      ...[
        "subnet",
        "create",
        "--network",
        "green",
        "--subnet-range",
        "192.168.7.0/24",
        "--dns-nameserver",
        "192.168.7.53",
      ],
      ...[
        "--allocation-pool",
        "start=192.168.7.10,end=192.168.7.20",
        "--host-route",
        "destination=10.0.0.0/8,gateway=192.168.7.9",
        "s4",
      ],
    ]);
    assert.deepEqual(
      [subnet.gateway_ip, subnet.allocation_pools],
      ["192.168.7.1", [{ start: "192.168.7.10", end: "192.168.7.20" }]],
    );
    const six = ["subnet", "create", "--network", "green", "--ip-version", "6", "--subnet-range", "fd00:7::/64", "s6"];
    assert.equal((await cloud.demo.json<Shown>(six)).ip_version, 6);
    await cloud.demo.ok([
      "subnet",
      "set",
      "--name",
      "s4b",
      "--dns-nameserver",
      "192.168.7.54",
      "--gateway",
      "192.168.7.2",
      "s4",
    ]);
    const after = await cloud.demo.json<Shown>(["subnet", "show", "s4b"]);
    assert.deepEqual([after.gateway_ip, after.dns_nameservers], ["192.168.7.2", ["192.168.7.54", "192.168.7.53"]]);
    assert.deepEqual((await names("subnet", "list", "--network", "green")).sort(), ["s4b", "s6"]);
    const twice = await cloud.demo([
      "subnet",
      "create",
      "--network",
      "green",
      "--subnet-range",
      "192.168.7.0/25",
      "s5",
    ]);
    assert.match(twice.stderr, /overlaps with another subnet/);
    await cloud.demo.ok(["subnet", "delete", "s4b", "s6"]);
    await cloud.demo.ok(["network", "delete", "green"]);
    const gone = await cloud.demo(["network", "show", "green"]);
    assert.match(gone.stderr, /No Network found|could not be found/);
    const shared = await cloud.demo(["network", "create", "--share", "mine"]);
    assert.match(shared.stderr, /403|[Ff]orbidden/);
    const provider = [
      "network",
      "create",
      "--share",
      "--provider-network-type",
      "vxlan",
      "--provider-segment",
      "4242",
      "p",
    ];
    assert.equal((await cloud.admin.json<Shown>(provider))["provider:segmentation_id"], 4242);
    await cloud.admin.ok(["network", "delete", "p"]);
  });

  it("creates, changes and deletes ports", async () => {
    await cloud.demo.ok(["network", "create", "n"]);
    await cloud.demo.ok(["subnet", "create", "--network", "n", "--subnet-range", "10.5.0.0/24", "s"]);
    const port = await cloud.demo.json<Shown>([
      ...["port", "create", "--network", "n", "--fixed-ip", "subnet=s,ip-address=10.5.0.77"],
      ...["--mac-address", "fa:16:3e:aa:bb:cc", "--description", "d", "p"],
    ]);
    assert.deepEqual([port.mac_address, port.status, port.device_owner], ["fa:16:3e:aa:bb:cc", "DOWN", ""]);
    const [fixed] = port.fixed_ips as { ip_address: string }[];
    assert.equal(fixed?.ip_address, "10.5.0.77");
    const same = await cloud.demo(["port", "create", "--network", "n", "--fixed-ip", "ip-address=10.5.0.77", "q"]);
    assert.match(same.stderr, /already allocated/);
    await cloud.demo.ok([
      "port",
      "set",
      "--name",
      "p2",
      "--fixed-ip",
      "subnet=s,ip-address=10.5.0.78",
      "--no-security-group",
      "p",
    ]);
    const changed = await cloud.demo.json<Shown>(["port", "show", "p2"]);
    assert.deepEqual([(changed.fixed_ips as unknown[]).length, changed.security_group_ids], [2, []]);
    assert.deepEqual(await names("port", "list", "--fixed-ip", "ip-address=10.5.0.78", "--network", "n"), ["p2"]);
    assert.deepEqual(await names("port", "list", "--mac-address", "fa:16:3e:aa:bb:cc"), ["p2"]);
    const inUse = await cloud.demo(["network", "delete", "n"]);
    assert.match(inUse.stderr, /ports still in use/);
    await cloud.demo.ok(["port", "delete", "p2"]);
    await cloud.demo.ok(["network", "delete", "n"]);
  });

  it("keeps security groups and rules", async () => {
    const group = await cloud.demo.json<Shown>(["security", "group", "create", "--description", "web", "web"]);
    const rule = await cloud.demo.json<Shown>([
      ...[
        "security",
        "group",
        "rule",
        "create",
        "--protocol",
        "tcp",
        "--dst-port",
        "80:81",
        "--remote-ip",
        "10.0.0.0/8",
        "web",
      ],
    ]);
    assert.deepEqual([rule.port_range_min, rule.port_range_max, rule.ether_type], [80, 81, "IPv4"]);
    assert.deepEqual((await names("security", "group", "list")).sort(), ["default", "web"]);
    const rules = await cloud.demo.json<Listed[]>(["security", "group", "rule", "list", "web"]);
    assert.equal(rules.length, 3);
    await cloud.demo.ok(["security", "group", "set", "--name", "www", "web"]);
    const shown = await cloud.demo.json<Shown>(["security", "group", "show", "www"]);
    assert.deepEqual([shown.id, (shown.rules as unknown[]).length], [group.id, 3]);
    await cloud.demo.ok(["security", "group", "rule", "delete", rule.id]);
    await cloud.demo.ok(["security", "group", "delete", "www"]);
  });
});
