import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { CloudServers, type Json } from "./support/cloud-servers.ts";
import type { Answer, CloudUser } from "./support/cloud-user.ts";
import { clientsMissing } from "./support/official-clients.ts";
import { type SimulatedCloud, simulatedCloud } from "./support/simulated-cloud.ts";

const MISSING = "00000000-0000-4000-8000-000000000000";
const KEYS: Readonly<Record<number, string>> = {
  400: "badRequest",
  403: "forbidden",
  404: "itemNotFound",
  406: "computeFault",
  409: "conflictingRequest",
};

/** Fails unless the answer is this error in the envelope of the service. */
function isError(answer: Answer, status: number, what: string): void {
  assert.equal(answer.status, status, `${what}: ${JSON.stringify(answer.body)}`);
  const fault = answer.body[KEYS[status] ?? "computeFault"];
  assert.equal(fault?.code, status, what);
  assert.equal(typeof fault.message, "string");
  assert.match(answer.headers.get("x-openstack-request-id") ?? "", /^req-[0-9a-f-]{36}$/);
}

const live = (host: string | null, more: object = {}) => ({
  "os-migrateLive": { host, block_migration: "auto", ...more },
});
const old = (host: string | null) => ({
  "os-migrateLive": { host, block_migration: true, disk_over_commit: false },
});
const cold = (host?: string) => ({ migrate: host === undefined ? null : { host } });

describe("errors of compute", { skip: clientsMissing }, () => {
  let cloud: SimulatedCloud;
  let admin: CloudUser;
  let servers: CloudServers;
  /** A member's server that is never changed; not on `host-4`. */
  let server: Json;
  before(async () => {
    cloud = await simulatedCloud({ hosts: 4 });
    ({ admin } = cloud);
    servers = new CloudServers(admin);
    await setService("host-4", { status: "disabled" });
    server = await servers.boot({}, cloud.member);
  });
  after(() => cloud.dispose());

  async function setService(host: string, change: object): Promise<void> {
    const listed = await admin.ask("GET", `/os-services?host=${host}&binary=nova-compute`, { version: "2.53" });
    const path = `/os-services/${listed.body.services[0].id}`;
    const answer = await admin.ask("PUT", path, { version: "2.53", body: change });
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
  }

  const ALL: readonly [string, object, string][] = [
    ["injectNetworkInfo", { injectNetworkInfo: null }, "2.1"],
    ["resetNetwork", { resetNetwork: null }, "2.1"],
    ["os-resetState", { "os-resetState": { state: "error" } }, "2.1"],
    ["migrate", cold(), "2.56"],
    ["os-migrateLive", live(null), "2.30"],
    ["evacuate", { evacuate: {} }, "2.29"],
    ["confirmResize", { confirmResize: null }, "2.1"],
    ["revertResize", { revertResize: null }, "2.1"],
  ];

  for (const [name, body, version] of ALL) {
    it(`${name}: 404 for what is missing or foreign, 403 for readers, 400 for more than one key`, async () => {
      for (const id of [MISSING, "999"]) isError(await admin.act(id, body, version), 404, id);
      isError(await cloud.stranger.act(server.id, body, version), 404, "foreign");
      isError(await cloud.reader.act(server.id, body, version), 403, "reader");
      isError(await admin.act(server.id, { ...body, lock: null }, version), 400, "two keys");
    });
  }

  it("lets managers migrate, not choose, and members neither", async () => {
    const { manager, member } = cloud;
    for (const [body, version] of [
      [cold(), "2.56"],
      [live(null), "2.30"],
    ] as const) {
      isError(await member.act(server.id, body, version), 403, "member");
    }
    for (const [body, version] of [
      [cold("host-2"), "2.56"],
      [live("host-2"), "2.30"],
    ] as const) {
      isError(await manager.act(server.id, body, version), 403, "manager with host");
    }
    for (const body of [
      { injectNetworkInfo: null },
      { resetNetwork: null },
      { "os-resetState": { state: "active" } },
    ]) {
      isError(await manager.act(server.id, body), 403, Object.keys(body).join());
    }
    const own = await servers.boot({}, member);
    const answer = await manager.act(own.id, live(null), "2.30");
    assert.equal(answer.status, 202, JSON.stringify(answer.body));
    await servers.migrated(own.id, "completed");
  });

  it("says the same to people who use the client", async () => {
    const stderr = async (user: CloudUser, command: string) => (await user.try(command)).stderr;
    assert.match(await stderr(cloud.reader, `server stop ${server.id}`), /403/);
    assert.match(await stderr(cloud.member, `server migrate ${server.id}`), /403/);
    assert.match(await stderr(cloud.stranger, `server show ${server.id}`), /No server with a name or ID/);
    assert.match(await stderr(admin, `server migration confirm ${server.id}`), /409/);
    assert.match(await stderr(admin, `server migrate --host nowhere ${server.id}`), /400/);
    assert.match(await stderr(admin, `server migrate --live-migration --host nowhere ${server.id}`), /400/);
    assert.match(await stderr(admin, `server migration abort ${server.id} 999`), /404|409/);
    assert.match(
      await stderr(cloud.member, "server create --image pileus-guest --flavor nope --nic none x"),
      /[Nn]o.*nope/,
    );
  });

  it("checks bodies version by version", async () => {
    const refused: [object, string][] = [
      [{ "os-resetState": { state: "invalid" } }, "2.1"],
      [{ "os-resetState": { state: 1 } }, "2.1"],
      [{ "os-resetState": {} }, "2.1"],
      [{ migrate: { host: "a b" } }, "2.56"],
      [{ migrate: { other: 1 } }, "2.56"],
      [live(null), "2.24"],
      [old(null), "2.25"],
      [live(null, { force: true }), "2.25"],
      [live(null, { force: true }), "2.30"],
      [live("host-2", { force: true }), "2.68"],
      [{ "os-migrateLive": { block_migration: "auto" } }, "2.30"],
      [{ evacuate: {} }, "2.1"],
      [{ evacuate: { onSharedStorage: false } }, "2.14"],
      [{ evacuate: { force: true } }, "2.68"],
      [{ nonsense: null }, "2.1"],
      [{}, "2.1"],
    ];
    for (const [body, version] of refused)
      isError(await admin.act(server.id, body, version), 400, JSON.stringify(body));
    isError(await admin.ask("GET", "/servers/detail?status=NONSENSE", { version: "2.38" }), 400, "status");
    const before = await admin.ask("GET", "/servers/detail?status=NONSENSE", { version: "2.37" });
    assert.deepEqual([before.status, before.body.servers], [200, []]);
    isError(await cloud.member.ask("GET", "/servers?all_tenants=1"), 403, "all_tenants");
  });

  it("checks targets", async () => {
    const id = server.id;
    const home = server["OS-EXT-SRV-ATTR:host"];
    isError(await admin.act(id, cold(home), "2.56"), 400, "migrate to itself");
    isError(await admin.act(id, cold("nowhere"), "2.56"), 400, "migrate to nowhere");
    for (const version of ["2.1", "2.24"]) isError(await admin.act(id, old(home), version), 400, `itself ${version}`);
    isError(await admin.act(id, live(home), "2.30"), 400, "itself 2.30");
    for (const version of ["2.25", "2.30", "2.34", "2.56", "2.68", "2.95", "latest"]) {
      isError(await admin.act(id, live("nowhere"), version), 400, `nowhere ${version}`);
    }
    isError(await admin.act(id, live("host-4"), "2.30"), 400, "disabled, checked at once");
    isError(await admin.act(id, { evacuate: {} }, "2.29"), 400, "the host is up");
    assert.equal((await servers.show(id)).status, "ACTIVE");
    for (const [body, version] of [
      [live(home), "2.34"],
      [live("host-4"), "2.34"],
      [cold("host-4"), "2.56"],
    ] as const) {
      assert.equal((await admin.act(id, body, version)).status, 202);
      await servers.migrated(id, "error");
      const stayed = await servers.idle(id);
      assert.deepEqual([stayed.status, stayed["OS-EXT-SRV-ATTR:host"]], ["ACTIVE", home]);
    }
  });

  it("refuses what a state does not allow, with 409", async () => {
    const { id } = await servers.boot();
    const refuse = async (state: string, bodies: readonly object[]) => {
      for (const body of bodies) isError(await admin.act(id, body, "2.30"), 409, `${state}: ${JSON.stringify(body)}`);
    };
    await refuse("active", [{ confirmResize: null }, { revertResize: null }, { "os-start": null }, { unpause: null }]);
    assert.equal((await admin.act(id, { pause: null })).status, 202);
    await servers.settled(id, "PAUSED");
    await refuse("paused", [cold(), { pause: null }, { "os-start": null }, { reboot: { type: "SOFT" } }]);
    assert.equal((await admin.act(id, { unpause: null })).status, 202);
    await servers.settled(id, "ACTIVE");
    assert.equal((await admin.act(id, { "os-stop": null })).status, 202);
    await servers.settled(id, "SHUTOFF");
    await refuse("stopped", [live(null), { pause: null }, { "os-stop": null }]);
    assert.equal((await admin.act(id, { "os-resetState": { state: "error" } })).status, 202);
    await refuse("error", [cold(), live(null), { confirmResize: null }]);
    for (const body of [{ injectNetworkInfo: {} }, { resetNetwork: null }, { "os-resetState": { state: "active" } }]) {
      assert.equal((await admin.act(id, body)).status, 202, `${JSON.stringify(body)} in any state`);
    }
  });

  it("keeps locked servers from everybody but administrators", async () => {
    const { id } = await servers.boot({}, cloud.member);
    assert.equal((await cloud.member.act(id, { lock: null })).status, 202);
    for (const body of [cold(), live(null)]) isError(await cloud.manager.act(id, body, "2.30"), 409, "manager");
    isError(await cloud.member.ask("DELETE", `/servers/${id}`), 409, "delete");
    assert.equal((await admin.act(id, { resetNetwork: null })).status, 202);
    assert.equal((await admin.act(id, cold())).status, 202);
    await servers.settled(id, "VERIFY_RESIZE");
    isError(await cloud.member.act(id, { confirmResize: null }), 409, "confirm");
    assert.equal((await admin.act(id, { confirmResize: null })).status, 204);
  });

  it("tells a source that is down: 409, 400 or later, by action and version", async () => {
    const { id } = await servers.boot({ host: "host-3" });
    await setService("host-3", { forced_down: true });
    isError(await admin.act(id, cold(), "2.56"), 409, "migrate");
    isError(await admin.act(id, live(null), "2.30"), 400, "live 2.30");
    assert.equal((await admin.act(id, live(null), "2.34")).status, 202);
    await servers.migrated(id, "error");
    assert.equal((await servers.idle(id)).status, "ACTIVE");
    isError(await admin.act(id, { evacuate: { host: "host-3" } }, "2.29"), 400, "evacuate to itself");
    isError(await admin.act(id, { evacuate: { host: "nowhere" } }, "2.29"), 404, "evacuate to nowhere");
    await setService("host-3", { forced_down: false });
  });
});
