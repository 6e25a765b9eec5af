import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Nic } from "../../../protocol/compute.ts";
import { netConf, networkData } from "./config-drive-content.ts";
import { diskUri, parseDiskUri } from "./disk-uri.ts";
import { isTarget, memoryUri, parseMemoryUri } from "./migration-settings.ts";
import { cardSlots } from "./pci-slots.ts";

const nic: Nic = {
  portId: "0f8fad5b-d9cb-469f-a165-70867728950e",
  mac: "52:54:00:00:00:01",
  networkId: "7c9e6679-7425-40de-944b-e07fc1f90ae7",
  segment: 7,
  mtu: 1450,
  fixedIps: [
    { address: "10.0.0.5", prefix: 20, gateway: "10.0.0.1" },
    { address: "fd00::5", prefix: 64, gateway: null },
  ],
  dnsServers: ["192.0.2.53"],
};

test("every card gets a slot of its own, whatever the order of the cards", () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.uuid(), { maxLength: 24 }), (portIds) => {
      const slots = cardSlots(portIds);
      assert.equal(new Set(slots.values()).size, portIds.length);
      assert.ok([...slots.values()].every((slot) => slot >= 8 && slot < 32));
      assert.deepEqual(cardSlots(portIds.toReversed()), slots);
    }),
  );
  assert.throws(() => cardSlots(Array.from({ length: 25 }, (_, i) => `port-${i}`)), { code: "compute.too_many_nics" });
});

test("the config drive tells a card's network in both languages", () => {
  assert.deepEqual(netConf([nic]).trimEnd().split("\n"), [
    "52:54:00:00:00:01 mtu 1450",
    "52:54:00:00:00:01 address 10.0.0.5/20",
    "52:54:00:00:00:01 address fd00::5/64",
    "52:54:00:00:00:01 gateway 10.0.0.1",
    "52:54:00:00:00:01 dns 192.0.2.53",
  ]);
  assert.equal(netConf([{ ...nic, fixedIps: [] }]), "", "a card without addresses is left to DHCP");
  const link = "tap0f8fad5b-d9";
  const { networkId: network_id } = nic;
  assert.deepEqual(networkData([nic]), {
    links: [{ id: link, vif_id: nic.portId, type: "bridge", mtu: 1450, ethernet_mac_address: nic.mac }],
    networks: [
      {
        id: `${link}-0`,
        type: "ipv4",
        link,
        network_id,
        ip_address: "10.0.0.5",
        netmask: "255.255.240.0",
        routes: [{ network: "0.0.0.0", netmask: "0.0.0.0", gateway: "10.0.0.1" }],
      },
      {
        id: `${link}-1`,
        type: "ipv6",
        link,
        network_id,
        ip_address: "fd00::5",
        netmask: "ffff:ffff:ffff:ffff:0:0:0:0",
        routes: [],
      },
    ],
    services: [{ type: "dns", address: "192.0.2.53" }],
  });
});

test("addresses of disks and processes survive the way to the other host, others are refused", () => {
  for (const address of [
    { kind: "inet", host: "10.77.0.3", port: 49_152 },
    { kind: "unix", path: "/var/lib/a b?c/disk.sock" },
  ] as const) {
    assert.deepEqual(parseDiskUri(diskUri(address, "disk-copy")), { address, exportName: "disk-copy" });
  }
  for (const bad of ["", "/etc/passwd", "nbd:///x", "file:///etc/passwd", "nbd+unix:///x?socket=relative", "json:{}"]) {
    assert.throws(() => parseDiskUri(bad), { code: "compute.invalid_uri" }, bad);
  }
  const marked = memoryUri("tcp:10.77.0.3:49152", true);
  assert.deepEqual(parseMemoryUri(marked), { uri: "tcp:10.77.0.3:49152", postCopy: true });
  assert.ok(isTarget(marked) && isTarget("unix:/run/x.sock"));
  for (const bad of ["exec:touch /tmp/x", "fd:3", "tcp:host:1", "unix:x"]) assert.ok(!isTarget(bad), bad);
});
