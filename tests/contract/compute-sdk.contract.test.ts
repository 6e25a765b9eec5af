import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { CloudServers } from "./support/cloud-servers.ts";
import { clientsMissing } from "./support/official-clients.ts";
import { type SimulatedCloud, simulatedCloud } from "./support/simulated-cloud.ts";

describe("compute, as openstacksdk sees it", { skip: clientsMissing }, () => {
  let cloud: SimulatedCloud;
  before(async () => {
    cloud = await simulatedCloud();
  });
  after(() => cloud.dispose());

  it("creates, waits, finds, live-migrates, migrates, confirms and deletes", async () => {
    const { admin } = cloud;
    const result = await admin.sdk(`
compute = cloud.compute
server = cloud.create_server("sdk", image="pileus-guest", flavor="m1.tiny", network="private", wait=True)
seen = {"created": server.status}
home = compute.get_server(server.id).compute_host
compute.live_migrate_server(server, host=None, force=False, block_migration="auto")
server = compute.wait_for_server(compute.get_server(server.id), interval=0.1)
seen["live"] = server.status
away = server.compute_host
seen["left"] = away != home
compute.migrate_server(server)
server = compute.wait_for_server(server, status="VERIFY_RESIZE", interval=0.1)
seen["cold"] = server.status
compute.confirm_server_resize(server)
server = compute.wait_for_server(server, interval=0.1)
seen["confirmed"] = server.compute_host != away
seen["listed"] = [s.name for s in compute.servers(status="ACTIVE", name="sdk")]
seen["none"] = [s.name for s in cloud.list_servers(filters={"status": "ERROR"})]
seen["migrations"] = sorted((m.migration_type, m.status) for m in compute.migrations())
seen["services"] = sorted(s.host for s in compute.services(binary="nova-compute"))
seen["hypervisors"] = sorted(h.name for h in compute.hypervisors())
seen["flavor"] = compute.find_flavor("m1.tiny").ram
compute.reset_server_state(server, "error")
seen["reset"] = compute.get_server(server.id).status
compute.reset_server_state(server, "active")
seen["found"] = compute.find_server("sdk").id == server.id
seen["deleted"] = cloud.delete_server("sdk", wait=True)
seen["gone"] = cloud.get_server("sdk") is None
result = seen`);
    assert.deepEqual(result, {
      created: "ACTIVE",
      live: "ACTIVE",
      left: true,
      cold: "VERIFY_RESIZE",
      confirmed: true,
      listed: ["sdk"],
      none: [],
      migrations: [
        ["live-migration", "completed"],
        ["migration", "confirmed"],
      ],
      services: ["host-1", "host-2", "host-3"],
      hypervisors: ["host-1", "host-2", "host-3"],
      flavor: 128,
      reset: "ERROR",
      found: true,
      deleted: true,
      gone: true,
    });
  });

  it("reaches the actions without a command through its session", async () => {
    const servers = new CloudServers(cloud.admin);
    const server = await servers.boot();
    const result = await cloud.admin.sdk(`
answers = []
for name in ("injectNetworkInfo", "resetNetwork"):
    for value in (None, {}):
        answer = cloud.compute.post("/servers/${server.id}/action", json={name: value})
        answers.append([answer.status_code, answer.text])
result = answers`);
    assert.deepEqual(
      result,
      Array.from({ length: 4 }, () => [202, ""]),
    );
    const host = cloud.simulation.world.host(server["OS-EXT-SRV-ATTR:host"]);
    assert.equal(host?.guests.get(server.id)?.nics.length, 1);
  });

  it("evacuates and tells errors apart", async () => {
    const servers = new CloudServers(cloud.admin);
    const { id } = await servers.boot({ host: "host-1" });
    const result = await cloud.admin.sdk(`
from openstack import exceptions
compute = cloud.compute
def kind(act):
    try:
        act()
        return "none"
    except exceptions.HttpException as error:
        return [type(error).__name__, error.status_code]
server = compute.get_server("${id}")
# evacuate_server of this library asks for no version, and does not send what the oldest one wants.
evacuate = lambda host: compute.post(f"/servers/{server.id}/action", json={"evacuate": {"host": host}}, microversion="2.67")
seen = {"up": evacuate("host-2").status_code}
seen["conflict"] = kind(lambda: compute.confirm_server_resize(server))
seen["missing"] = kind(lambda: compute.get_server("00000000-0000-4000-8000-000000000000"))
seen["host"] = kind(lambda: compute.live_migrate_server(server, host="nowhere"))
service = next(compute.services(binary="nova-compute", host="host-1"))
compute.update_service_forced_down(service, host="host-1", binary="nova-compute", forced=True)
seen["evacuate"] = evacuate("host-2").status_code
server = compute.wait_for_server(compute.get_server("${id}"), interval=0.1)
seen["host after"] = server.compute_host
result = seen`);
    assert.deepEqual(result, {
      up: 400,
      evacuate: 200,
      conflict: ["ConflictException", 409],
      missing: ["ResourceNotFound", 404],
      host: ["BadRequestException", 400],
      "host after": "host-2",
    });
  });
});
