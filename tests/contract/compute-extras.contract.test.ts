import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { CloudServers } from "./support/cloud-servers.ts";
import type { CloudUser } from "./support/cloud-user.ts";
import { clientsMissing } from "./support/official-clients.ts";
import { type SimulatedCloud, simulatedCloud } from "./support/simulated-cloud.ts";

describe("what is around servers, as both clients see it", { skip: clientsMissing }, () => {
  let cloud: SimulatedCloud;
  let admin: CloudUser;
  let member: CloudUser;
  before(async () => {
    cloud = await simulatedCloud();
    ({ admin, member } = cloud);
  });
  after(() => cloud.dispose());

  it("aggregates group hosts and put them into zones", async () => {
    const made = await admin.json("aggregate create --zone east --property ssd=true fast");
    assert.deepEqual([made.name, made.availability_zone, made.properties.ssd], ["fast", "east", "true"]);
    await admin.openstack("aggregate add host fast host-1");
    const zones = await admin.json("availability zone list --compute");
    assert.deepEqual(zones.map((zone: Record<string, unknown>) => zone["Zone Name"]).toSorted(), [
      "east",
      "internal",
      "nova",
    ]);
    await admin.openstack("aggregate set --name faster --property ssd=false fast");
    const shown = await admin.json("aggregate show faster");
    assert.deepEqual([shown.hosts, shown.properties], [["host-1"], { ssd: "false" }]);
    await admin.openstack("aggregate unset --property ssd faster");
    assert.match(await admin.nova("aggregate-show faster"), /east .*host-1/);
    await admin.nova("aggregate-remove-host faster host-1");
    await admin.openstack("aggregate delete faster");
    assert.deepEqual(await admin.json("aggregate list"), []);
    const refused = await admin.try("aggregate show faster");
    assert.notEqual(refused.code, 0);
  });

  it("security groups are given to a server and taken from it", async () => {
    const { id } = await new CloudServers(member).boot();
    await member.openstack("security group create web");
    await member.openstack(`server add security group ${id} web`);
    const names = async () => (await member.json(`server show ${id}`)).security_groups;
    assert.deepEqual(await names(), [{ name: "default" }, { name: "web" }]);
    const [port] = await member.json(`port list --server ${id}`);
    assert.equal((await member.json(`port show ${port.ID}`)).security_group_ids.length, 2);
    assert.match(await member.nova(`list-secgroup ${id}`), /web/);
    await member.openstack(`server remove security group ${id} web`);
    assert.deepEqual(await names(), [{ name: "default" }]);
    await member.nova(`add-secgroup ${id} web`);
    await member.nova(`remove-secgroup ${id} web`);
    assert.deepEqual(await names(), [{ name: "default" }]);
    assert.match((await member.try(`server add security group ${id} nothing`)).stderr, /HTTP 404/);
    await member.openstack(`server delete --wait ${id}`);
  });

  it("diagnostics tell what a guest has used", async () => {
    const { id } = await new CloudServers(admin).boot();
    assert.match(await admin.nova(`--os-compute-api-version 2.47 diagnostics ${id}`), /cpu0_time .*\d/);
    assert.match(await admin.nova(`diagnostics ${id}`), /num_cpus .*1/);
    assert.match(await admin.openstack(`server show --diagnostics ${id}`), /cpu0_time|cpu_details/);
    await admin.openstack(`server stop ${id}`);
    await new CloudServers(admin).settled(id, "SHUTOFF");
    assert.match((await admin.tryNova(`diagnostics ${id}`)).stderr, /HTTP 409/);
    await admin.openstack(`server delete --wait ${id}`);
  });

  it("the quotas of new projects are seen and set", async () => {
    assert.match(await admin.nova("quota-class-show default"), /instances .*10/);
    await admin.nova("quota-class-update --instances 11 default");
    await admin.openstack("quota set --class --cores 21 default");
    const shown = await admin.nova("quota-class-show default");
    assert.match(shown, /instances .*11/);
    assert.match(shown, /cores .*21/);
    assert.match(await admin.nova("quota-defaults"), /instances .*11/);
    await admin.nova("quota-class-update --instances 10 --cores 20 default");
  });
});
