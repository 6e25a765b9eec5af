import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { tryCommand } from "../../../process/run-command.ts";
import { ensureHostNamespace, removeFabric, removeHostNamespace, setHostLink, whyNoNamespaces } from "./fabric.ts";
import { HostNetwork, tapName } from "./host-network.ts";
import { ip, linkExists } from "./ip-command.ts";

const skip = (await whyNoNamespaces()) ?? false;
const fabric = { prefix: `pt${process.pid}`, prefixLength: 24 };
const hosts = [
  { name: "one", address: "10.79.0.1" },
  { name: "two", address: "10.79.0.2" },
];
const segment = 4711;
const netnsOf = new Map<string, string>();

const pings = async (netns: string, address: string) =>
  (await tryCommand("nsenter", [`--net=/run/netns/${netns}`, "--", "ping", "-c", "1", "-W", "1", address])).code === 0;

before(async () => {
  if (skip) return;
  for (const host of hosts) netnsOf.set(host.name, await ensureHostNamespace(fabric, host.name, host.address));
});
after(async () => {
  for (const host of hosts) await removeHostNamespace(fabric, host.name);
  await removeFabric(fabric);
});

const netns = (name: string): string => netnsOf.get(name) ?? assert.fail(`no namespace ${name}`);

test("hosts reach each other until a cable is pulled, and again after", { skip }, async () => {
  assert.equal(await ensureHostNamespace(fabric, "one", "10.79.0.1"), netns("one"), "ensuring again changes nothing");
  assert.ok(await pings(netns("one"), "10.79.0.2"));
  await setHostLink(fabric, "two", "down");
  assert.ok(!(await pings(netns("one"), "10.79.0.2")));
  await setHostLink(fabric, "two", "up");
  assert.ok(await pings(netns("one"), "10.79.0.2"));
});

test("a segment carries frames between hosts and goes with its last card", { skip }, async () => {
  const port = { portId: "0f8fad5b-d9cb-469f-a165-70867728950e", segment, mtu: 1450 };
  for (const [index, host] of hosts.entries()) {
    const network = new HostNetwork(netns(host.name), host.address);
    await Promise.all([network.ensureTap(port), network.ensureTap(port)]);
    assert.ok(await linkExists(netns(host.name), tapName(port.portId)));
    await ip(netns(host.name), "address", "add", `192.0.2.${index + 1}/24`, "dev", `br-${segment}`);
  }
  assert.ok(await pings(netns("one"), "192.0.2.2"), "the tunnel works");
  for (const host of hosts) {
    const network = new HostNetwork(netns(host.name), host.address);
    await network.ensureTapAbsent(port.portId);
    await network.ensureTapAbsent(port.portId);
    assert.ok(!(await linkExists(netns(host.name), `br-${segment}`)));
  }
});
