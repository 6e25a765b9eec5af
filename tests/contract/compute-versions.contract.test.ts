import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { sameShape } from "../../kernel/http/testing/same-shape.ts";
import { sample } from "../../services/compute/testing/samples.ts";
import { CloudServers, type Json } from "./support/cloud-servers.ts";
import type { CloudUser } from "./support/cloud-user.ts";
import { clientsMissing } from "./support/official-clients.ts";
import { type SimulatedCloud, simulatedCloud } from "./support/simulated-cloud.ts";

/** Versions that a published sample exists for, by resource and file. */
const SERVER_VERSIONS = ["2.3", "2.9", "2.16", "2.19", "2.47", "2.71", "2.73", "2.90", "2.96", "2.98", "2.100"];
const MIGRATION_VERSIONS = ["2.1", "2.23", "2.59", "2.80"];
const ACTION_VERSIONS = ["2.1", "2.21", "2.51", "2.58", "2.62", "2.84"];

describe("versions and published samples, live", { skip: clientsMissing }, () => {
  let cloud: SimulatedCloud;
  let admin: CloudUser;
  let servers: CloudServers;
  let server: Json;
  before(async () => {
    cloud = await simulatedCloud();
    ({ admin } = cloud);
    servers = new CloudServers(admin);
    server = await servers.boot({ description: "one", metadata: { "My Server Name": "Apache1" } });
    cloud.simulation.world.setDirtiesMemory(server.id, true);
    await admin.openstack(`server migrate --live-migration ${server.id}`);
    await servers.migrated(server.id, "running");
  });
  after(() => cloud.dispose());

  it("applies the version that was asked for, and says so", async () => {
    for (const version of ["2.1", "2.24", "2.25", "2.30", "2.34", "2.56", "2.68", "2.95", "2.104"]) {
      const { status, headers } = await admin.ask("GET", `/servers/${server.id}`, { version });
      assert.deepEqual([status, headers.get("openstack-api-version")], [200, `compute ${version}`]);
      assert.equal(headers.get("x-openstack-nova-api-version"), version);
      assert.equal(headers.get("vary"), "OpenStack-API-Version, X-OpenStack-Nova-API-Version");
    }
    const newest = await admin.ask("GET", "/servers", { version: "latest" });
    assert.equal(newest.headers.get("openstack-api-version"), "compute 2.104");
    const none = await admin.ask("GET", "/servers");
    assert.equal(none.headers.get("openstack-api-version"), "compute 2.1");
    const others = await admin.ask("GET", "/servers", {
      headers: { "openstack-api-version": "volume 3.59, compute 2.79" },
    });
    assert.equal(others.headers.get("openstack-api-version"), "compute 2.79");
  });

  it("refuses versions out of range with 406, malformed ones with 400", async () => {
    for (const version of ["2.105", "3.1", "1.0"]) {
      const answer = await admin.ask("GET", "/servers", { version });
      assert.deepEqual([answer.status, answer.body.computeFault?.code], [406, 406], version);
      assert.equal(answer.headers.get("openstack-api-version"), `compute ${version}`);
    }
    for (const version of ["2", "2.01", "two", "2.1.1", "2.x"]) {
      const answer = await admin.ask("GET", "/servers", { version });
      assert.deepEqual([answer.status, answer.body.badRequest?.code], [400, 400], version);
      assert.equal(answer.headers.get("openstack-api-version"), null);
    }
    const refused = await admin.try("server list", "2.150");
    assert.notEqual(refused.code, 0);
  });

  it("has operations from their version on only", async () => {
    const path = `/servers/${server.id}/migrations`;
    const [record] = await servers.migrations(server.id);
    assert.equal((await admin.ask("GET", path, { version: "2.22" })).status, 404);
    assert.equal((await admin.ask("GET", path, { version: "2.23" })).status, 200);
    assert.equal((await admin.ask("DELETE", `${path}/${record.id}`, { version: "2.23" })).status, 404);
    const force = { version: "2.21", body: { force_complete: null } };
    assert.equal((await admin.ask("POST", `${path}/${record.id}/action`, force)).status, 404);
    assert.equal((await admin.ask("GET", "/os-hypervisors/statistics", { version: "2.87" })).status, 200);
    assert.notEqual((await admin.ask("GET", "/os-hypervisors/statistics", { version: "2.88" })).status, 200);
  });

  it("answers as the samples of versions", async () => {
    const at = (path: string) => admin.ask("GET", path, { root: "" }).then(({ body }) => body);
    sameShape(await at("/compute/"), sample("versions/versions-get-resp"));
    sameShape(await at("/compute/v2.1/"), sample("versions/v21-version-get-resp"));
  });

  for (const version of SERVER_VERSIONS) {
    it(`shows a server as the sample of ${version}`, async () => {
      const { server: expected } = sample(`servers/v${version}/server-get-resp`) as Json;
      // Samples that were taken by others than administrators lack the host.
      const seesHosts = "OS-EXT-SRV-ATTR:host" in expected;
      const { body } = await admin.ask("GET", `/servers/${server.id}`, { version });
      const missing = Object.keys(expected).filter((key) => !(key in body.server) && key !== "key_name");
      assert.deepEqual(missing, []);
      const more = Object.keys(body.server).filter((key) => !(key in expected));
      const allowed = (key: string) => !seesHosts && (key.startsWith("OS-EXT-SRV-ATTR:") || key === "host_status");
      assert.deepEqual(
        more.filter((key) => !allowed(key)),
        [],
      );
      for (const [key, value] of Object.entries(expected)) {
        const actual = body.server[key];
        if (value !== null && actual !== null) assert.equal(typeof actual, typeof value, key);
      }
    });
  }

  for (const version of MIGRATION_VERSIONS) {
    it(`lists migrations as the sample of ${version}`, async () => {
      const folder = version === "2.1" ? "" : `v${version}/`;
      const { migrations } = sample(`os-migrations/${folder}migrations-get`) as Json;
      // The only sample elements with links are those of live migrations in progress, as ours is.
      const expected = migrations.find((each: Json) => each.links) ?? migrations[0];
      const { body } = await admin.ask("GET", `/os-migrations?instance_uuid=${server.id}`, { version });
      sameShape(body.migrations[0], expected, `migrations of ${version}`);
    });
  }

  for (const version of ["2.23", "2.59", "2.80"]) {
    it(`shows a migration in progress as the sample of ${version}`, async () => {
      const path = `/servers/${server.id}/migrations`;
      const listed = await admin.ask("GET", path, { version });
      sameShape(listed.body, sample(`server-migrations/v${version}/migrations-index`));
      const shown = await admin.ask("GET", `${path}/${listed.body.migrations[0].id}`, { version });
      sameShape(shown.body, sample(`server-migrations/v${version}/migrations-get`));
    });
  }

  for (const version of ACTION_VERSIONS) {
    it(`shows instance actions as the sample of ${version}`, async () => {
      const folder = version === "2.1" ? "" : `v${version}/`;
      const path = `/servers/${server.id}/os-instance-actions`;
      const listed = await admin.ask("GET", path, { version });
      sameShape(listed.body, sample(`os-instance-actions/${folder}instance-actions-list-resp`));
      const created = listed.body.instanceActions.find((each: Json) => each.action === "create");
      const shown = await admin.ask("GET", `${path}/${created.request_id}`, { version });
      sameShape(shown.body, sample(`os-instance-actions/${folder}instance-action-get-resp`));
    });
  }

  for (const version of ["2.1", "2.11", "2.53", "2.69"]) {
    it(`lists services as the sample of ${version}`, async () => {
      const folder = version === "2.1" ? "" : `v${version}/`;
      const { body } = await admin.ask("GET", "/os-services", { version });
      const { services } = sample(`os-services/${folder}services-list-get-resp`) as Json;
      const expected = services.find((each: Json) => "updated_at" in each);
      sameShape(body.services[0], expected ?? body.services[0]);
    });
  }

  it("confirms, reverts and forces with the codes that are published", async () => {
    const [record] = await servers.migrations(server.id);
    const force = { version: "2.22", body: sample("server-migrations/v2.23/migrations-get") };
    assert.equal((await admin.ask("POST", `/servers/${server.id}/migrations/${record.id}/action`, force)).status, 400);
    const path = `/servers/${server.id}/migrations/${record.id}`;
    const aborted = await admin.ask("DELETE", path, { version: "2.24" });
    assert.deepEqual([aborted.status, aborted.body], [202, undefined]);
    await servers.migrated(server.id, "cancelled");
    await servers.settled(server.id, "ACTIVE");
    assert.equal((await admin.act(server.id, { migrate: {} })).status, 202);
    await servers.settled(server.id, "VERIFY_RESIZE");
    assert.equal((await admin.act(server.id, { revertResize: null })).status, 202);
    await servers.settled(server.id, "ACTIVE");
    assert.equal((await admin.act(server.id, { migrate: "whatever" })).status, 202);
    await servers.settled(server.id, "VERIFY_RESIZE");
    assert.equal((await admin.act(server.id, { confirmResize: null })).status, 204);
    await servers.settled(server.id, "ACTIVE");
  });
});
