import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import { OTHER_PROJECT, PROJECT } from "../../../kernel/http/testing/people-api.ts";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import type { NetworkTables } from "../../network/store/tables.ts";
import { type ComputeWorld, computeWorld } from "../testing/compute-world.ts";

onBothStores("security groups of servers", (open) => {
  let world: ComputeWorld;
  before(async () => {
    world = await computeWorld(open);
    await world.givenHost("host-1");
    await world.network.ensureDefaultNetwork({ projectId: OTHER_PROJECT });
    for (const [id, name, project] of [
      ["web-id", "web", PROJECT],
      ["twin-1", "twin", PROJECT],
      ["twin-2", "twin", PROJECT],
      ["foreign-id", "foreign", OTHER_PROJECT],
    ] as const) {
      await givenGroup(id, name, project);
    }
  });
  after(() => world.close());

  async function givenGroup(id: string, name: string, project_id: string) {
    const about = { description: `for ${name}`, stateful: 1, is_default: 0, created_at: 0, updated_at: 0, revision: 1 };
    const rule = {
      security_group_id: id,
      project_id,
      description: "",
      ethertype: "IPv4",
      protocol: null,
      port_range_min: null,
      port_range_max: null,
      remote_ip_prefix: null,
      created_at: 0,
      updated_at: 0,
      revision: 0,
    } as const;
    await world.store.tx(async (t) => {
      const db = t.tables<NetworkTables>();
      await db
        .insertInto("security_groups")
        .values({ id, name, project_id, ...about })
        .execute();
      const out = { ...rule, id: `${id}-out`, direction: "egress", remote_group_id: null } as const;
      const incoming = { ...rule, id: `${id}-in`, direction: "ingress", remote_group_id: id } as const;
      await db.insertInto("security_group_rules").values([out, incoming]).execute();
    });
  }

  async function givenServerWithPort() {
    const server = await world.givenServer();
    await world.store.tx((t) =>
      world.network.public.allocatePorts(t, {
        projectId: PROJECT,
        serverId: server.id,
        host: "host-1",
        isAdmin: false,
        requested: "auto",
        securityGroups: [],
      }),
    );
    return server;
  }

  const add = (id: string, name: string, who: "member" | "reader" | "stranger" = "member") =>
    world.act(who, id, { addSecurityGroup: { name } });
  const remove = (id: string, name: string) => world.act("member", id, { removeSecurityGroup: { name } });
  const shown = async (id: string) => (await world.ask("reader", "GET", `/servers/${id}`)).body.server.security_groups;

  it("gives and takes a group, by name and by id", async () => {
    const { id } = await givenServerWithPort();
    for (const [group, again] of [
      ["web", "web-id"],
      ["web-id", "web"],
    ] as const) {
      assert.equal((await add(id, group)).status, 202);
      assert.equal((await add(id, again)).status, 202, "once more changes nothing");
      assert.deepEqual(await shown(id), [{ name: "default" }, { name: "web" }]);
      assert.equal((await remove(id, again)).status, 202);
      assert.deepEqual(await shown(id), [{ name: "default" }]);
    }
  });

  it("lists a server's groups with what they let in", async () => {
    const { id } = await givenServerWithPort();
    await add(id, "web");
    const { body } = await world.ask("reader", "GET", `/servers/${id}/os-security-groups`);
    assert.deepEqual(
      body.security_groups.map((group: { name: string }) => group.name),
      ["default", "web"],
    );
    assert.deepEqual(body.security_groups[1], {
      id: "web-id",
      name: "web",
      description: "for web",
      tenant_id: PROJECT,
      rules: [
        {
          id: "web-id-in",
          parent_group_id: "web-id",
          ip_protocol: null,
          from_port: null,
          to_port: null,
          group: { name: "web", tenant_id: PROJECT },
          ip_range: {},
        },
      ],
    });
    assert.equal((await world.ask("stranger", "GET", `/servers/${id}/os-security-groups`)).status, 404);
  });

  it("lists and shows the project's own up to 2.35", async () => {
    const ask = (path: string, version = "2.35") =>
      world.ask("reader", "GET", `/os-security-groups${path}`, { version });
    const names = (await ask("")).body.security_groups.map((group: { name: string }) => group.name);
    assert.deepEqual(names, ["default", "twin", "twin", "web"]);
    assert.equal((await ask("/web-id")).body.security_group.name, "web");
    for (const path of ["/web", "/foreign-id"]) assert.equal((await ask(path)).status, 404);
    for (const path of ["", "/web-id"]) assert.equal((await ask(path, "2.36")).status, 404);
  });

  it("refuses what does not fit", async () => {
    const { id } = await givenServerWithPort();
    const bare = await world.givenServer();
    assert.equal((await add(id, "nothing")).status, 404);
    assert.equal((await add(id, "foreign")).status, 404, "another project's");
    assert.equal((await add(id, "twin")).status, 409);
    assert.equal((await add(id, "twin-2")).status, 202);
    assert.equal((await add(bare.id, "web")).status, 400, "no port");
    assert.equal((await remove(id, "web")).status, 404, "not there");
    assert.equal((await add(id, "web", "reader")).status, 403);
    assert.equal((await add(id, "web", "stranger")).status, 404);
    for (const value of [null, {}, { name: "" }, { name: 1 }, { name: "web", more: 1 }]) {
      assert.equal((await world.act("member", id, { addSecurityGroup: value })).status, 400, JSON.stringify(value));
    }
  });
});
