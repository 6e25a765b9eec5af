import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import type { ServiceRow } from "../../../kernel/fleet/tables.ts";
import { sameShape } from "../../../kernel/http/testing/same-shape.ts";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import { allocate } from "../store/allocations.ts";
import { getHost } from "../store/hosts.ts";
import type { ComputeHostRow } from "../store/tables.ts";
import { type ComputeWorld, computeWorld } from "../testing/compute-world.ts";
import { TINY } from "../testing/rows.ts";
import { sample } from "../testing/samples.ts";

onBothStores("hypervisors", (open) => {
  let world: ComputeWorld;
  let service: ServiceRow;
  let host: ComputeHostRow;
  const cpuInfo = {
    arch: "x86_64",
    model: "Nehalem",
    vendor: "Intel",
    features: ["pge"],
    topology: { cores: 1, threads: 1, sockets: 4 },
  };
  before(async () => {
    world = await computeWorld(open);
    service = await world.givenHost("host_1", { cpuInfo });
    await world.givenHost("hostx2", { cpuInfo });
    host = await getHost(world.store.read, "host_1");
    for (const task_state of [null, "migrating"] as const) {
      const server = await world.givenServer({ host: "host_1", task_state });
      const room = { serverId: server.id, host: "host_1", flavor: TINY, ratios: null };
      await world.store.tx((t) => allocate(t, world.clock, room));
    }
    await world.givenServer({ host: "host_1", deleted_at: world.clock.now() });
  });
  after(() => world.close());

  const get = (path: string, version: string) => world.ask("admin", "GET", `/os-hypervisors${path}`, { version });

  for (const [version, folder] of [
    ["2.1", ""],
    ["2.28", "v2.28/"],
    ["2.53", "v2.53/"],
    ["2.88", "v2.88/"],
  ] as const) {
    it(`looks as published at ${version}`, async () => {
      const published = (name: string) => sample(`os-hypervisors/${folder}hypervisors-${name}-resp`);
      const one = version === "2.1" || version === "2.28" ? host.number : host.uuid;
      sameShape((await get(`/${one}`, version)).body, published("show"));
      for (const [name, path] of [
        ["list", ""],
        ["detail", "/detail"],
      ] as const) {
        const { hypervisors_links: _, ...first } = published(name) as Record<string, unknown>;
        sameShape((await get(path, version)).body, first);
      }
      if (version === "2.88") return;
      sameShape((await get(`/${one}/uptime`, version)).body, published("uptime"));
      sameShape((await get("/statistics", version)).body, published("statistics"));
    });
  }

  it("counts what is promised and what runs", async () => {
    const { hypervisor } = (await get(`/${host.number}`, "2.1")).body;
    assert.deepEqual(JSON.parse(hypervisor.cpu_info), cpuInfo);
    assert.deepEqual(
      [hypervisor.vcpus_used, hypervisor.memory_mb_used, hypervisor.free_ram_mb, hypervisor.local_gb_used],
      [2, 1024, 16_384 - 1024, 2],
    );
    assert.deepEqual([hypervisor.running_vms, hypervisor.current_workload], [2, 1]);
    assert.deepEqual(hypervisor.service, { id: service.number, host: "host_1", disabled_reason: null });
    const { hypervisor_statistics: all } = (await get("/statistics", "2.87")).body;
    assert.deepEqual([all.count, all.vcpus, all.vcpus_used, all.running_vms], [2, 16, 2, 2]);
  });

  it("names servers when asked", async () => {
    const plain = await get("", "2.53");
    assert.equal("servers" in plain.body.hypervisors[0], false);
    const named = await get("?with_servers=true", "2.53");
    assert.equal(named.body.hypervisors[0].servers.length, 2);
    sameShape(named.body, sample("os-hypervisors/v2.53/hypervisors-with-servers-resp"));
    assert.equal("servers" in named.body.hypervisors[1], false);
    assert.deepEqual((await get("?with_servers=true", "2.75")).body.hypervisors[1].servers, []);
    const one = await get(`/${host.uuid}?with_servers=1`, "2.88");
    sameShape(one.body, sample("os-hypervisors/v2.88/hypervisors-show-with-servers-resp"));
  });

  it("is found by a part of its name", async () => {
    const found = await get("/T_/search", "2.52");
    assert.deepEqual(
      found.body.hypervisors.map((each: { hypervisor_hostname: string }) => each.hypervisor_hostname),
      ["host_1"],
    );
    sameShape((await get("/host_1/servers", "2.1")).body, sample("os-hypervisors/hypervisors-with-servers-resp"));
    assert.equal((await get("/nothing/search", "2.52")).status, 404);
    assert.equal((await get("/nothing/servers", "2.52")).status, 404);
    assert.equal((await get("/host/search", "2.53")).status, 404);
    assert.equal((await get("?hypervisor_hostname_pattern=host", "2.53")).body.hypervisors.length, 2);
    assert.equal((await get("?hypervisor_hostname_pattern=nothing", "2.53")).status, 404);
    assert.equal((await get("?hypervisor_hostname_pattern=host&limit=1", "2.53")).status, 400);
  });

  it("pages by number, then by uuid", async () => {
    const first = await get("?limit=1", "2.33");
    assert.match(first.body.hypervisors_links[0].href, new RegExp(`limit=1&marker=${host.number}$`));
    assert.equal((await get(`?marker=${host.number}`, "2.33")).body.hypervisors[0].hypervisor_hostname, "hostx2");
    assert.equal((await get(`?marker=${host.uuid}`, "2.53")).body.hypervisors[0].hypervisor_hostname, "hostx2");
    assert.equal((await get("?marker=99", "2.33")).status, 400);
    assert.deepEqual((await get("?limit=0", "2.53")).body, { hypervisors: [] });
    assert.equal((await get("?limit=1", "2.32")).body.hypervisors.length, 2);
  });

  it("refuses bad ids, unknown keys and people without the role", async () => {
    assert.equal((await get("/host_1", "2.52")).status, 404);
    assert.equal((await get("/99", "2.52")).status, 404);
    assert.equal((await get(`/${host.number}`, "2.53")).status, 400);
    assert.equal((await get(`/${world.ids.uuid()}`, "2.53")).status, 404);
    assert.equal((await get("?colour=red", "2.52")).status, 200);
    assert.equal((await get("?colour=red", "2.53")).status, 400);
    assert.equal((await get(`/${host.uuid}/uptime`, "2.88")).status, 404);
    for (const path of ["", "/detail", "/statistics", `/${host.uuid}`, `/${host.uuid}/uptime`])
      assert.equal((await world.ask("manager", "GET", `/os-hypervisors${path}`, { version: "2.53" })).status, 403);
  });

  it("tells how long a host is up, unless it is down", async () => {
    world.clock.advance(1_000);
    assert.equal((await get(`/${host.uuid}/uptime`, "2.53")).body.hypervisor.uptime, " 00:00:01 up 1 days, 2:03");
    await world.givenService(service.uuid, { forced_down: 1 });
    assert.equal((await get(`/${host.uuid}/uptime`, "2.53")).status, 400);
    const { hypervisor } = (await get(`/${host.uuid}`, "2.88")).body;
    assert.deepEqual([hypervisor.state, hypervisor.uptime], ["down", null]);
    await world.givenService(service.uuid, { forced_down: 0, disabled: 1 });
    assert.equal((await get("/statistics", "2.87")).body.hypervisor_statistics.count, 1);
  });
});
