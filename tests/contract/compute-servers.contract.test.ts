import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { CloudServers, type Json } from "./support/cloud-servers.ts";
import type { CloudUser } from "./support/cloud-user.ts";
import { clientsMissing } from "./support/official-clients.ts";
import { type SimulatedCloud, simulatedCloud } from "./support/simulated-cloud.ts";

describe("servers, as the openstack client sees them", { skip: clientsMissing }, () => {
  let cloud: SimulatedCloud;
  let admin: CloudUser;
  let member: CloudUser;
  let servers: CloudServers;
  before(async () => {
    cloud = await simulatedCloud();
    ({ admin, member } = cloud);
    servers = new CloudServers(admin);
  });
  after(() => cloud.dispose());

  const guest = (server: Json) => cloud.simulation.world.host(server["OS-EXT-SRV-ATTR:host"])?.guests.get(server.id);

  it("creates, lists, shows, changes and deletes", async () => {
    // From 2.92 on the client would have to bring the public key, which this one does not.
    assert.match(await member.openstack("keypair create mine", "2.1"), /^-----BEGIN [A-Z ]*PRIVATE KEY-----/);
    const made = await member.json(
      "server create --image pileus-guest --flavor m1.tiny --network private --key-name mine --property a=1 " +
        "--description 'the first' --tag blue --wait first",
    );
    assert.equal(made.status, "ACTIVE");
    assert.equal(made.key_name, "mine");
    assert.deepEqual(made.properties, { a: "1" });
    assert.equal(made.description, "the first");
    assert.deepEqual(made.tags, ["blue"]);
    assert.equal(made["OS-EXT-SRV-ATTR:host"], undefined, "only administrators see the host");
    const [listed, ...others] = await member.json("server list --name first --long");
    assert.deepEqual(others, []);
    assert.equal(listed.ID, made.id);
    assert.deepEqual(listed.Networks, made.addresses);
    assert.deepEqual(await cloud.stranger.json("server list"), []);
    assert.equal((await admin.json("server list")).length, 0, "administrators list their own project first");
    const [everywhere] = await admin.json("server list --all-projects --long --host host-1 --host host-1");
    assert.equal(everywhere?.Host ?? "host-1", "host-1");
    await member.openstack("server set --name renamed --property b=2 --description second --tag red first");
    await member.openstack("server unset --property a --tag blue renamed");
    const changed = await member.json("server show renamed");
    assert.deepEqual(
      [changed.name, changed.properties, changed.description, changed.tags],
      ["renamed", { b: "2" }, "second", ["red"]],
    );
    await member.openstack("server delete --wait renamed");
    assert.deepEqual(await member.json("server list"), []);
    assert.equal((await admin.ask("GET", `/servers/${made.id}`)).status, 404);
    assert.deepEqual(cloud.simulation.world.leftovers(), {
      guests: [],
      disks: [],
      ports: [],
      volumes: [],
      listeners: [],
    });
    const shown = await member.try("server show renamed");
    assert.equal(shown.code, 1);
    assert.match(shown.stderr, /No server with a name or ID of 'renamed' exists/);
  });

  it("filters, sorts and pages lists", async () => {
    for (const name of ["p-1", "p-2", "p-3"]) await servers.boot({ name }, member);
    const names = async (options: string) =>
      (await member.json(`server list ${options}`)).map((each: Json) => each.Name);
    assert.deepEqual(await names(""), ["p-3", "p-2", "p-1"], "newest first");
    assert.deepEqual(await names("--limit 2"), ["p-3", "p-2"]);
    assert.deepEqual(await names("--marker p-2"), ["p-1"]);
    assert.deepEqual(await names("--name ^p-.$"), ["p-3", "p-2", "p-1"]);
    assert.deepEqual(await names("--name -2"), ["p-2"]);
    assert.deepEqual(await names("--status ERROR"), []);
    assert.deepEqual(await names("--flavor m1.tiny --image pileus-guest"), ["p-3", "p-2", "p-1"]);
    assert.deepEqual(await names("--flavor m1.small"), []);
    assert.deepEqual(await names("--limit -1"), ["p-3", "p-2", "p-1"]);
    assert.equal((await admin.json("server list --all-projects --project lab")).length, 3);
    await member.openstack("server delete p-1 p-2 p-3");
  });

  it("places where an administrator says", async () => {
    const zoned = await admin.json(
      "server create --image pileus-guest --flavor m1.tiny --network private --availability-zone nova:host-3 zoned",
    );
    assert.equal((await servers.settled(zoned.id, "ACTIVE"))["OS-EXT-SRV-ATTR:host"], "host-3");
    const hosted = await admin.json(
      "server create --image pileus-guest --flavor m1.tiny --nic none --host host-2 hosted",
    );
    const server = await servers.settled(hosted.id, "ACTIVE");
    assert.equal(server["OS-EXT-SRV-ATTR:host"], "host-2");
    assert.deepEqual(server.addresses, {});
    await admin.openstack("server delete zoned hosted");
  });

  it("keeps servers of a group together or apart", async () => {
    const hostsOf = async (policy: string, count: number) => {
      const { id: group } = await admin.json(`server group create --policy ${policy} ${policy}`);
      const made = await Promise.all(
        Array.from({ length: count }, () => servers.boot({ networks: "none" }, admin, { group })),
      );
      const shown = await admin.json(`server group show ${policy}`);
      assert.deepEqual(shown.members.sort(), made.map(({ id }) => id).sort());
      return new Set(made.map((server) => server["OS-EXT-SRV-ATTR:host"])).size;
    };
    assert.equal(await hostsOf("anti-affinity", 3), 3);
    assert.equal(await hostsOf("affinity", 2), 1);
    assert.equal(await hostsOf("soft-affinity", 2), 1);
    assert.equal(await hostsOf("soft-anti-affinity", 4), 3);
  });

  it("stops, starts, reboots, pauses and unpauses", async () => {
    const { id } = await servers.boot({ name: "power" }, member);
    const step = async (command: string, status: string) => {
      await member.openstack(`${command} power`);
      return await servers.settled(id, status);
    };
    const stopped = await step("server stop", "SHUTOFF");
    assert.equal(stopped["OS-EXT-STS:power_state"], 4);
    assert.equal(guest(stopped)?.power, "stopped");
    const started = await step("server start", "ACTIVE");
    assert.equal(started["OS-EXT-STS:power_state"], 1);
    assert.equal(guest(started)?.power, "running");
    const boots = async () => (await member.openstack("console log show power")).match(/Booting/g)?.length;
    const before = (await boots()) ?? 0;
    await step("server reboot --soft", "ACTIVE");
    assert.equal(await boots(), before + 1);
    await step("server reboot --hard", "ACTIVE");
    assert.equal(await boots(), before + 2);
    const paused = await step("server pause", "PAUSED");
    assert.equal(paused["OS-EXT-STS:power_state"], 3);
    assert.equal(guest(paused)?.power, "paused");
    await step("server unpause", "ACTIVE");
    const actions = (await member.json("server event list power")).map((each: Json) => each.Action);
    assert.deepEqual(actions, ["unpause", "pause", "reboot", "reboot", "start", "stop", "create"]);
    assert.equal((await member.openstack("console log show --lines 1 power")).trim().split("\n").length, 1);
    await member.openstack("server delete power");
  });

  it("locks and unlocks", async () => {
    const { id } = await servers.boot({ name: "locked" }, member);
    await member.openstack("server lock --reason 'keep it' locked");
    const shown = await member.json("server show locked");
    assert.deepEqual([shown.locked, shown.locked_reason], [true, "keep it"]);
    const refused = await member.try("server stop locked");
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /locked.*409/s);
    assert.deepEqual(
      (await member.json("server list --locked")).map((each: Json) => each.Name),
      ["locked"],
    );
    await member.openstack("server unlock locked");
    await member.openstack("server stop locked");
    await servers.settled(id, "SHUTOFF");
    await member.openstack("server delete locked");
  });

  it("resets states", async () => {
    const { id } = await servers.boot({ name: "reset" }, member);
    await admin.openstack(`server set --state error ${id}`);
    assert.equal((await servers.show(id)).status, "ERROR");
    assert.deepEqual(
      (await member.json("server list --status ERROR")).map((each: Json) => each.Name),
      ["reset"],
    );
    await admin.openstack(`server set --state active ${id}`);
    assert.equal((await servers.show(id)).status, "ACTIVE");
    assert.deepEqual((await servers.action(id, "resetState")).events, []);
    const refused = await member.try("server set --state error reset");
    assert.match(refused.stderr, /403/);
    await member.openstack("server delete reset");
  });

  it("shows events to everybody, hosts and tracebacks to administrators", async () => {
    const { id } = await servers.boot({ name: "eventful" }, member);
    await member.openstack("server stop eventful");
    await servers.settled(id, "SHUTOFF");
    const [stop] = await member.json("server event list --long eventful");
    assert.equal(stop.Action, "stop");
    assert.equal(stop["User ID"], member.userId);
    const shown = await member.json(`server event show eventful ${stop["Request ID"]}`);
    assert.equal(shown.action, "stop");
    assert.equal(shown.message, null);
    const [event] = shown.events;
    assert.deepEqual([event.event, event.result], ["compute_stop_instance", "Success"]);
    assert.equal(event.host, undefined);
    const asAdmin = await admin.json(`server event show ${id} ${stop["Request ID"]}`);
    assert.match(asAdmin.events[0].host, /^host-\d$/);
    await member.openstack("server delete eventful");
  });

  it("gives a console's address", async () => {
    await servers.boot({ name: "consoled" }, member);
    const shown = await member.json("console url show --serial consoled");
    assert.match(shown.url, /^ws:\/\/127\.0\.0\.1:\d+\/.*token=/);
    const vnc = await member.try("console url show --novnc consoled");
    assert.notEqual(vnc.code, 0);
    await member.openstack("server delete consoled");
  });

  it("attaches and detaches networks", async () => {
    const { id } = await servers.boot({ name: "wired", networks: "none" }, member);
    await member.openstack("server add network wired private");
    const attached = await servers.show(id);
    assert.equal(Object.keys(attached.addresses).length, 1);
    const [port] = await member.json("port list --server wired");
    assert.equal(guest(attached)?.nics.length, 1);
    await member.openstack(`server remove port wired ${port.ID}`);
    assert.deepEqual((await servers.idle(id)).addresses, {});
    await member.openstack("server delete wired");
  });
});
