import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import { OTHER_PROJECT, PROJECT } from "../../../kernel/http/testing/people-api.ts";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import { allocate } from "../store/allocations.ts";
import { type ComputeWorld, computeWorld } from "../testing/compute-world.ts";
import { TINY } from "../testing/rows.ts";

onBothStores("os-hosts", (open) => {
  let world: ComputeWorld;
  before(async () => {
    world = await computeWorld(open);
    await world.givenHost("host-1");
    await world.givenHost("host-2");
    for (const project_id of [PROJECT, PROJECT, OTHER_PROJECT]) {
      const flavor = JSON.stringify({ ...TINY, ephemeralGiB: 1 });
      const server = await world.givenServer({ host: "host-1", project_id, flavor });
      const room = { serverId: server.id, host: "host-1", flavor: TINY, ratios: null };
      await world.store.tx((t) => allocate(t, world.clock, room));
    }
    await world.givenServer({ host: "host-1", deleted_at: world.clock.now() });
  });
  after(() => world.close());

  const get = (path = "", version = "2.42") => world.ask("admin", "GET", `/os-hosts${path}`, { version });

  it("are listed with the service and zone of each", async () => {
    const { hosts } = (await get()).body;
    assert.deepEqual(hosts, [
      { host_name: "host-1", service: "compute", zone: "nova" },
      { host_name: "host-2", service: "compute", zone: "nova" },
    ]);
    assert.equal((await get("?service=compute&zone=nova")).body.hosts.length, 2);
    assert.equal((await get("?service=conductor")).body.hosts.length, 0);
    assert.equal((await get("?zone=elsewhere")).body.hosts.length, 0);
  });

  it("tell what they have, what is taken, and by whom", async () => {
    const { host } = (await get("/host-1")).body;
    assert.deepEqual(
      host.map(({ resource }: { resource: Record<string, unknown> }) => [
        resource.host,
        resource.project,
        resource.cpu,
        resource.memory_mb,
        resource.disk_gb,
      ]),
      [
        ["host-1", "(total)", 8, 16_384, 200],
        ["host-1", "(used_now)", 3, 1536, 3],
        ["host-1", "(used_max)", 3, 1536, 6],
        ["host-1", PROJECT, 2, 1024, 4],
        ["host-1", OTHER_PROJECT, 1, 512, 2],
      ],
    );
    assert.equal((await get("/nowhere")).status, 404);
  });

  it("are gone from 2.43 on, and for administrators only", async () => {
    assert.equal((await get("", "2.43")).status, 404);
    assert.equal((await get("/host-1", "2.43")).status, 404);
    assert.equal((await world.ask("manager", "GET", "/os-hosts")).status, 403);
    assert.equal((await world.ask("manager", "GET", "/os-hosts/host-1")).status, 403);
  });
});
