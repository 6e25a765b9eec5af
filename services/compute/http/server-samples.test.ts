import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { OTHER_PROJECT, type Person, PROJECT } from "../../../kernel/http/testing/people-api.ts";
import { sameShape } from "../../../kernel/http/testing/same-shape.ts";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import type { ServerRow } from "../store/tables.ts";
import { type ComputeWorld, computeWorld } from "../testing/compute-world.ts";
import { sample } from "../testing/samples.ts";

/** Versions in which the representation changed, with a published sample each. */
const SHOWS = ["2.1", "2.3", "2.9", "2.16", "2.19", "2.47", "2.71", "2.73", "2.90", "2.96", "2.98", "2.100"];
const DETAILS = ["2.1", "2.3", "2.9", "2.16", "2.19", "2.47", "2.73", "2.90", "2.96", "2.98", "2.100"];
const UPDATES = ["2.1", "2.19", "2.75", "2.90", "2.96", "2.98", "2.100", "2.104"];

function folderOf(version: string): string {
  return version === "2.1" ? "servers" : `servers/v${version}`;
}

function serverSample(name: string): Json {
  const { server, servers } = sample(name) as { server?: Json; servers?: Json[] };
  return server ?? servers?.[0] ?? {};
}

/** Samples were taken by administrators or by others; those of administrators name the host. */
function readerOf(server: object): Person {
  return "OS-EXT-SRV-ATTR:host" in server || "host_status" in server ? "admin" : "member";
}

onBothStores("published samples of servers", (open) => {
  let world: ComputeWorld;
  let server: ServerRow;
  before(async () => {
    world = await computeWorld(open);
    await world.givenHost("host-1");
    await world.network.ensureDefaultNetwork({ projectId: OTHER_PROJECT });
    server = await world.givenServer({
      metadata: '{"My Server Name":"Apache1"}',
      image_properties: '{"architecture":"x86_64","auto_disk_config":"True"}',
      scheduler_hints: '{"same_host":["48e6a9f6-30af-47e0-bc04-acaed113bb4e"]}',
      user_data: "IyEvYmluL2Jhc2g=",
      access_ipv4: "1.2.3.4",
      requested_zone: "nova",
      description: "described",
    });
    await world.store.tx((t) =>
      world.deps.network.allocatePorts(t, {
        serverId: server.id,
        projectId: PROJECT,
        host: "host-1",
        isAdmin: false,
        requested: "auto",
        securityGroups: [],
      }),
    );
  });
  after(() => world.close());

  describe("show", () => {
    for (const version of SHOWS) {
      it(version, async () => {
        const expected = serverSample(`${folderOf(version)}/server-get-resp`);
        const answer = await world.ask(readerOf(expected), "GET", `/servers/${server.id}`, { version });
        assert.equal(answer.status, 200);
        shapeOf(answer.body.server, expected, version);
        assert.equal(answer.headers["openstack-api-version"], `compute ${version}`);
      });
    }
  });

  describe("detailed list", () => {
    for (const version of DETAILS) {
      it(version, async () => {
        const expected = serverSample(`${folderOf(version)}/servers-details-resp`);
        const answer = await world.ask(readerOf(expected), "GET", "/servers/detail?limit=1", { version });
        assert.equal(answer.status, 200);
        shapeOf(answer.body.servers[0], expected, version);
        assert.equal(answer.body.servers_links[0].rel, "next");
      });
    }
  });

  describe("update", () => {
    for (const version of UPDATES) {
      it(version, async () => {
        const name = version === "2.19" ? "server-put-resp" : "server-update-resp";
        const expected = serverSample(`${folderOf(version)}/${name}`);
        const who = readerOf(expected);
        const body = { server: { name: "new-server-test" } };
        const answer = await world.ask(who, "PUT", `/servers/${server.id}`, { version, body });
        assert.equal(answer.status, 200, JSON.stringify(answer.body));
        shapeOf(answer.body.server, expected, version);
      });
    }
  });

  it("list", async () => {
    const answer = await world.ask("member", "GET", "/servers?limit=1");
    sameShape(answer.body, sample("servers/servers-list-resp"));
  });
});

/** The same shape, apart from the maps whose keys are free. */
function shapeOf(actual: Json, expected: Json, version: string): void {
  sameShape(withoutFreeMaps(actual), withoutFreeMaps(expected), `server at ${version}`);
}

type Json = Record<string, unknown>;

function withoutFreeMaps(server: Json): Json {
  const flavor = server.flavor as Json;
  return {
    ...server,
    ...("scheduler_hints" in server ? { scheduler_hints: {} } : {}),
    ...("extra_specs" in flavor ? { flavor: { ...flavor, extra_specs: {} } } : {}),
  };
}
