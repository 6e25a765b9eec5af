import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Value } from "typebox/value";
import { Nic } from "../../agent/protocol/compute.ts";
import { CloudError } from "../../kernel/errors/cloud-error.ts";
import { systemIds } from "../../kernel/ids/ids.ts";
import { onBothStores } from "../../kernel/store/testing/stores.ts";
import type { AllocatePorts } from "./public.ts";
import { ServerPorts } from "./server-ports.ts";
import { createPort, findPort } from "./store/ports.ts";
import { givenNetwork, testContext, worldMigrations } from "./testing/network-world.ts";

const ports = new ServerPorts(testContext);
const PROJECT = "p1";

function request(more: Partial<AllocatePorts> = {}): AllocatePorts {
  return {
    projectId: PROJECT,
    serverId: systemIds.uuid(),
    host: "host-1",
    isAdmin: false,
    requested: "auto",
    securityGroups: [],
    ...more,
  };
}

const fails = (code: string) => (error: unknown) => error instanceof CloudError && error.code === code;

onBothStores("ServerPorts", (open) => {
  describe("cards of servers", () => {
    test("a server's cards are chosen, shown, moved and released", async () => {
      const { store, dispose } = await open(worldMigrations);
      const { network } = await givenNetwork(
        store,
        { projectId: "admin", name: "private", shared: true },
        { cidr: "10.20.0.0/24", dnsNameservers: ["10.20.0.53"] },
        { cidr: "fd00:20::/64" },
      );
      const asked = request();
      const [port] = await store.tx((t) => ports.allocatePorts(t, asked));
      assert.ok(port);
      assert.deepEqual(
        port.fixedIps.map((ip) => ip.address),
        ["10.20.0.2", "fd00:20::2"],
      );
      assert.match(port.mac, /^fa:16:3e(:[0-9a-f]{2}){3}$/);
      assert.equal(port.status, "ACTIVE");

      const [nic] = await ports.nicsOf(store.read, asked.serverId);
      assert.ok(Value.Check(Nic, nic));
      assert.deepEqual(nic, {
        portId: port.portId,
        mac: port.mac,
        networkId: network.id,
        segment: network.segment,
        mtu: 1450,
        fixedIps: [
          { address: "10.20.0.2", prefix: 24, gateway: "10.20.0.1" },
          { address: "fd00:20::2", prefix: 64, gateway: "fd00:20::1" },
        ],
        dnsServers: ["10.20.0.53"],
      });
      const shown = await ports.networkInfo(store.read, [asked.serverId, systemIds.uuid()]);
      const mac = { "OS-EXT-IPS:type": "fixed", "OS-EXT-IPS-MAC:mac_addr": port.mac };
      assert.deepEqual(
        [...shown],
        [
          [
            asked.serverId,
            {
              private: [
                { version: 4, addr: "10.20.0.2", ...mac },
                { version: 6, addr: "fd00:20::2", ...mac },
              ],
            },
          ],
        ],
      );
      const groups = await ports.securityGroupNames(store.read, [asked.serverId]);
      assert.deepEqual([...groups], [[asked.serverId, ["default"]]]);

      await store.tx((t) => ports.bindPorts(t, asked.serverId, "host-2"));
      assert.equal((await findPort(store.read, port.portId))?.host, "host-2");
      await store.tx((t) => ports.releasePorts(t, asked.serverId));
      await store.tx((t) => ports.releasePorts(t, asked.serverId));
      assert.deepEqual(await ports.portsOf(store.read, asked.serverId), []);
      await dispose();
    });

    test("auto needs exactly one usable network", async () => {
      const { store, dispose } = await open(worldMigrations);
      await assert.rejects(
        store.tx((t) => ports.allocatePorts(t, request())),
        fails("network.none_available"),
      );
      await givenNetwork(store, { projectId: PROJECT, name: "a" }, { cidr: "10.1.0.0/24" });
      await givenNetwork(store, { projectId: "other", name: "b" }, { cidr: "10.2.0.0/24" });
      assert.equal((await store.tx((t) => ports.allocatePorts(t, request()))).length, 1);
      assert.deepEqual(await store.tx((t) => ports.allocatePorts(t, request({ requested: "none" }))), []);
      await givenNetwork(store, { projectId: "other", name: "c", shared: true }, { cidr: "10.3.0.0/24" });
      await assert.rejects(
        store.tx((t) => ports.allocatePorts(t, request())),
        fails("network.ambiguous"),
      );
      await dispose();
    });

    test("security groups must exist, also for a server without cards", async () => {
      const { store, dispose } = await open(worldMigrations);
      const ask = (securityGroups: readonly string[]) =>
        store.tx((t) => ports.allocatePorts(t, request({ requested: "none", securityGroups })));
      assert.deepEqual(await ask(["default"]), []);
      await assert.rejects(ask(["nowhere"]), fails("network.unknown_security_group"));
      await dispose();
    });

    test("ports of the user are taken once and given back", async () => {
      const { store, dispose } = await open(worldMigrations);
      const { network } = await givenNetwork(store, { projectId: PROJECT, name: "a" }, { cidr: "10.1.0.0/24" });
      const own = await store.tx((t) =>
        createPort(t, testContext, { projectId: PROJECT, networkId: network.id, securityGroupIds: [] }),
      );
      const foreign = await store.tx((t) =>
        createPort(t, testContext, { projectId: "other", networkId: network.id, securityGroupIds: [] }),
      );
      const nics = [
        { networkId: network.id, fixedIp: "10.1.0.77" },
        { portId: own.id, tag: "data" },
      ];
      const asked = request({ requested: nics });
      const made = await store.tx((t) => ports.allocatePorts(t, asked));
      assert.deepEqual(
        made.map((port) => [port.madeForServer, port.tag]),
        [
          [true, null],
          [false, "data"],
        ],
      );
      assert.equal(made[0]?.fixedIps[0]?.address, "10.1.0.77");
      const refused = [
        { code: "network.port_in_use", nic: { portId: own.id } },
        { code: "network.unknown_port", nic: { portId: foreign.id } },
        { code: "network.ip_address_already_allocated", nic: { networkId: network.id, fixedIp: "10.1.0.77" } },
        { code: "network.invalid_ip_for_network", nic: { networkId: network.id, fixedIp: "10.9.0.1" } },
        { code: "network.unknown_network", nic: { networkId: systemIds.uuid() } },
      ];
      for (const { code, nic } of refused) {
        await assert.rejects(
          store.tx((t) => ports.allocatePorts(t, request({ requested: [nic] }))),
          fails(code),
        );
      }
      const third = await store.tx((t) =>
        ports.attachPort(t, { ...asked, nic: { networkId: network.id }, securityGroups: [] }),
      );
      assert.deepEqual(
        (await ports.portsOf(store.read, asked.serverId)).map((port) => port.portId),
        [...made.map((port) => port.portId), third.portId],
      );
      await store.tx((t) => ports.detachPort(t, asked.serverId, third.portId));
      await assert.rejects(
        store.tx((t) => ports.detachPort(t, asked.serverId, third.portId)),
        fails("network.port_not_attached"),
      );
      await store.tx((t) => ports.releasePorts(t, asked.serverId));
      const back = await findPort(store.read, own.id);
      assert.deepEqual([back?.device_id, back?.host, back?.status], ["", "", "DOWN"]);
      await dispose();
    });

    test("concurrent servers never share an address, and a full subnet says so", async () => {
      const opened = await open(worldMigrations);
      const stores = [opened.store, await opened.again()];
      await givenNetwork(opened.store, { projectId: PROJECT, name: "a" }, { cidr: "10.1.0.0/27" });
      const results = await Promise.allSettled(
        Array.from({ length: 34 }, (_, index) => {
          const store = stores[index % 2] ?? opened.store;
          return store.tx((t) => ports.allocatePorts(t, request()));
        }),
      );
      const addresses = results.flatMap((result) =>
        result.status === "fulfilled" ? result.value.flatMap((port) => port.fixedIps.map((ip) => ip.address)) : [],
      );
      assert.equal(addresses.length, 29);
      assert.equal(new Set(addresses).size, 29);
      for (const result of results) {
        if (result.status === "rejected") assert.ok(fails("network.ip_address_generation_failure")(result.reason));
      }
      await opened.dispose();
    });
  });
});
