import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import { POWER } from "../domain/server-state.ts";
import { type ComputeWorld, computeWorld } from "../testing/compute-world.ts";

const DISK = { readBytes: 1, readRequests: 2, writeBytes: 3, writeRequests: 4, errors: 5 };
const CARD = {
  rxBytes: 10,
  rxPackets: 11,
  rxErrors: 12,
  rxDrop: 13,
  txBytes: 14,
  txPackets: 15,
  txErrors: 16,
  txDrop: 17,
};
const FIGURES = {
  uptimeS: 10,
  cpus: [{ id: 0, timeNs: 2_500_000_000 }],
  nics: [{ portId: "12345678-9abc-4def-8000-000000000000", mac: "fa:16:3e:00:00:01", ...CARD }],
  disks: [DISK, { ...DISK, readBytes: 100 }],
  memory: { maximumMiB: 512, usedMiB: 100 },
};

onBothStores("server diagnostics", (open) => {
  let world: ComputeWorld;
  before(async () => {
    world = await computeWorld(open);
    await world.givenHost("host-1");
  });
  after(() => world.close());

  const ask = (id: string, version: string, who: "admin" | "member" = "admin") =>
    world.ask(who, "GET", `/servers/${id}/diagnostics`, { version });

  it("answers in both shapes", async () => {
    const { id } = await world.givenServer({ config_drive: 1 });
    world.diagnostics.set(id, FIGURES);
    assert.deepEqual((await ask(id, "2.48")).body, {
      state: "running",
      driver: "libvirt",
      hypervisor: "fake",
      hypervisor_os: "linux",
      uptime: 10,
      config_drive: true,
      num_cpus: 1,
      num_nics: 1,
      num_disks: 2,
      cpu_details: [{ id: 0, time: 2_500_000_000, utilisation: 25 }],
      nic_details: [
        {
          mac_address: "fa:16:3e:00:00:01",
          rx_octets: 10,
          rx_packets: 11,
          rx_errors: 12,
          rx_drop: 13,
          rx_rate: null,
          tx_octets: 14,
          tx_packets: 15,
          tx_errors: 16,
          tx_drop: 17,
          tx_rate: null,
        },
      ],
      disk_details: [
        { read_bytes: 1, read_requests: 2, write_bytes: 3, write_requests: 4, errors_count: 5 },
        { read_bytes: 100, read_requests: 2, write_bytes: 3, write_requests: 4, errors_count: 5 },
      ],
      memory_details: { maximum: 512, used: 100 },
    });
    const old = (await ask(id, "2.47")).body;
    assert.equal(old.cpu0_time, 2_500_000_000);
    assert.deepEqual([old.memory, old["memory-rss"]], [512 * 1024, 100 * 1024]);
    assert.deepEqual(
      [old.vda_read, old.vda_read_req, old.vda_write, old.vda_write_req, old.vda_errors],
      [1, 2, 3, 4, 5],
    );
    assert.equal(old.vdb_read, 100);
    assert.deepEqual([old["tap12345678-9a_rx"], old["tap12345678-9a_tx_drop"]], [10, 17]);
  });

  it("refuses what has nothing to tell", async () => {
    const off = await world.givenServer({ vm_state: "stopped", power_state: POWER.shutdown });
    const gone = await world.givenServer();
    const unplaced = await world.givenServer({ host: null });
    for (const { id } of [off, gone, unplaced]) assert.equal((await ask(id, "2.48")).status, 409);
    assert.equal((await ask(gone.id, "2.48", "member")).status, 403);
    assert.equal((await ask(world.ids.uuid(), "2.48")).status, 404);
  });
});
