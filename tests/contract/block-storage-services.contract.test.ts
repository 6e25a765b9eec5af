import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { SimulatedFleet } from "../../agent/sim/simulated-fleet.ts";
import { sleep, systemClock } from "../../kernel/clock/clock.ts";
import { CLUSTER, startBackendAgents } from "./support/backend-agents.ts";
import { clientsMissing } from "./support/official-clients.ts";
import { type SimulatedCloud, simulatedCloud } from "./support/simulated-cloud.ts";

const LIMIT_MS = 20_000;

describe("services and clusters of Block Storage, with the official clients", { skip: clientsMissing }, () => {
  let cloud: SimulatedCloud;
  let agents: SimulatedFleet;
  before(async () => {
    // No simulated hosts: they would have backends of their own.
    cloud = await simulatedCloud({ hosts: 0 });
    agents = await startBackendAgents(cloud.server);
    await until(async () => (await listed("--host store-3")).length === 1);
  });
  after(async () => {
    await agents.close();
    await cloud.dispose();
  });

  const listed = (options = "") => cloud.admin.volumeJson(`volume service list ${options}`);
  /** The service as `cinder service-list` shows it. */
  const shown = async (host: string) => {
    const { body } = await cloud.admin.ask("GET", `/os-services?host=${host}`, {
      root: "/volume/v3",
      headers: { "openstack-api-version": "volume 3.70" },
    });
    return body.services[0];
  };

  it("openstack volume service list, set", async () => {
    const services = await listed("--long --service cinder-volume");
    assert.deepEqual(services.map((row: Record<string, string>) => [row.Host, row.Status, row.State]).toSorted(), [
      ["store-1@shared", "enabled", "up"],
      ["store-2@shared", "enabled", "up"],
      ["store-3@replicated", "enabled", "up"],
    ]);
    assert.equal((await listed("--service cinder-scheduler")).length, 1);
    await cloud.admin.volume(
      "volume service set --disable --disable-reason 'disk swap' store-3@replicated cinder-volume",
    );
    const [row] = await listed("--long --host store-3");
    assert.deepEqual([row.Status, row["Disabled Reason"]], ["disabled", "disk swap"]);
    await cloud.admin.volume("volume service set --enable store-3@replicated cinder-volume");
    const refused = await cloud.member.tryVolume("volume service list");
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /403/);
  });

  it("openstack volume host set", async () => {
    await cloud.admin.volume("volume host set --disable store-3@replicated");
    assert.deepEqual([(await shown("store-3")).frozen, (await shown("store-3")).disabled_reason], [true, "frozen"]);
    await cloud.admin.volume("volume host set --enable store-3@replicated");
    assert.equal((await shown("store-3")).status, "enabled");
    const unknown = await cloud.admin.tryVolume("volume host set --disable nowhere");
    assert.match(unknown.stderr, /400/);
  });

  it("cinder service-list, service-enable, service-disable", async () => {
    assert.match(await cloud.admin.cinder("service-list --withreplication"), /store-1@shared .* store@shared/);
    await cloud.admin.cinder("service-disable --reason 'no reason' store-3@replicated cinder-volume");
    assert.equal((await shown("store-3")).disabled_reason, "no reason");
    await cloud.admin.cinder("service-enable store-3@replicated cinder-volume");
    assert.match((await cloud.admin.tryCinder("service-enable nowhere cinder-volume")).stderr, /404/);
  });

  it("cinder freeze-host, thaw-host, failover-host", async () => {
    await cloud.admin.cinder("freeze-host store-3@replicated");
    assert.match((await cloud.admin.tryCinder("freeze-host store-3@replicated")).stderr, /400/);
    await cloud.admin.cinder("failover-host store-3@replicated --backend_id second");
    await until(async () => (await shown("store-3")).replication_status === "failed-over");
    await cloud.admin.cinder("failover-host store-3@replicated --backend_id default");
    await until(async () => (await shown("store-3")).replication_status === "enabled");
    assert.deepEqual(
      [(await shown("store-3")).status, (await shown("store-3")).disabled_reason],
      ["disabled", "frozen"],
    );
    await cloud.admin.cinder("thaw-host store-3@replicated");
    assert.equal((await shown("store-3")).status, "enabled");
  });

  it("cinder cluster-list, cluster-show, cluster-disable, cluster-enable", async () => {
    assert.match(await cloud.admin.cinder("cluster-list --detailed"), /store@shared/);
    assert.match(await cloud.admin.cinder(`cluster-show ${CLUSTER}`), /num_hosts +\| 2/);
    await cloud.admin.cinder(`cluster-disable --reason 'for testing' ${CLUSTER}`);
    assert.match(await cloud.admin.cinder("cluster-list --disabled true"), /store@shared/);
    await cloud.admin.cinder(`cluster-enable ${CLUSTER}`);
    assert.doesNotMatch(await cloud.admin.cinder("cluster-list --disabled true"), /store@shared/);
    assert.match((await cloud.admin.tryCinder("cluster-show nowhere")).stderr, /404/);
  });

  it("a failover that no agent is there for is done by the first member that returns, and told to the others", async () => {
    const put = (path: string, body: object) =>
      cloud.admin.ask("PUT", `/os-services/${path}`, {
        root: "/volume/v3",
        headers: { "openstack-api-version": "volume 3.70" },
        body,
      });
    for (const host of ["store-1", "store-2"]) await agents.kill(host);
    assert.equal((await put("failover", { cluster: CLUSTER })).status, 202);
    assert.equal((await put("failover", { cluster: CLUSTER })).status, 400);
    assert.equal((await shown("store-1")).replication_status, "failing-over");
    await agents.restart("store-2");
    await until(async () => (await shown("store-2")).replication_status === "failed-over");
    await agents.restart("store-1");
    assert.equal((await shown("store-1")).active_backend_id, "second");
    assert.equal((await put("failover", { cluster: CLUSTER, backend_id: "default" })).status, 202);
    await until(async () => (await shown("store-1")).replication_status === "enabled");
    assert.deepEqual([(await shown("store-1")).status, (await shown("store-1")).active_backend_id], ["enabled", ""]);
  });

  it("cinder service-get-log, service-set-log", async () => {
    await cloud.admin.cinder("service-set-log --binary cinder-volume --server store-1 --prefix storage DEBUG");
    await until(async () => {
      const levels = await cloud.admin.cinder("service-get-log --binary cinder-volume --server store-1");
      return /storage.driver +\| DEBUG/.test(levels);
    });
    assert.match(await cloud.admin.cinder("service-get-log --server store-2"), /storage.driver +\| INFO/);
    assert.match(await cloud.admin.cinder("service-get-log --binary cinder-api --prefix operations"), /operations/);
  });

  it("cinder get-pools, get-capabilities, work-cleanup, availability-zone-list", async () => {
    assert.match(await cloud.admin.cinder("get-pools --detail"), /store-3@replicated#replicated/);
    assert.match(await cloud.admin.cinder("get-capabilities store-3@replicated"), /vendor_name/);
    assert.doesNotMatch(await cloud.admin.cinder("work-cleanup --is-up true --cluster store@shared"), /ERROR/);
    assert.match(await cloud.member.cinder("availability-zone-list"), /nova +\| available/);
    assert.match(await cloud.member.cinder("version-list"), /3.71/);
  });

  it("openstacksdk: pools, capabilities, extensions", async () => {
    const seen = await cloud.admin.sdk(`
volume = cloud.block_storage
result = {
    "vendor": volume.get_capabilities("store-3@replicated").vendor_name,
    "extensions": [e.alias for e in volume.extensions()],
    "pools": sorted(p.name for p in volume.backend_pools()),
}
`);
    assert.equal(seen.vendor, "Pileus");
    assert.ok(seen.extensions.includes("os-services"));
    assert.deepEqual(seen.pools, ["store-3@replicated#replicated", `${CLUSTER}#shared`]);
  });
});

async function until(so: () => Promise<boolean>): Promise<void> {
  const limit = systemClock.now() + LIMIT_MS;
  while (!(await so())) {
    if (systemClock.now() > limit) throw new Error("what was waited for did not happen");
    await sleep(systemClock, 50);
  }
}
