import assert from "node:assert/strict";
import { test } from "node:test";
import { findServiceOn, updateService } from "../../../kernel/fleet/services.ts";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import { Bench } from "../operations/testing/bench.ts";
import { SMALL } from "../operations/testing/given.ts";

onBothStores("no valid host", (open) => {
  test("the fault and the operation tell administrators which filter left none over", async () => {
    const bench = await Bench.open(open);
    const { world, operations } = bench;
    const { store, clock } = world.tools;
    const service = await findServiceOn(store.read, "c", "nova-compute");
    await store.tx((t) => updateService(t, clock, service?.uuid ?? "", { disabled: 1 }));
    const cases = [
      {
        flavor: { ...SMALL, ramMiB: 1e9 },
        more: {},
        why: "3 hosts, 2 enabled, 2 up, 2 without anything of the server, 2 with 1 VCPUs free, 0 with 1000000000 MiB of memory free",
      },
      { flavor: SMALL, more: { host: "c" }, why: "3 hosts, 1 named c, 0 enabled" },
      { flavor: SMALL, more: { host: "nowhere" }, why: "3 hosts, 0 named nowhere" },
    ];
    for (const { flavor, more, why } of cases) {
      const id = await world.given.newServer({ flavor });
      const operation = await world.given.start(operations.create, await world.given.create(id, more));
      await world.toTheEnd();
      const message = "No valid host was found. There are not enough hosts available.";
      const { fault } = await world.operation(operation);
      assert.deepEqual(JSON.parse(fault ?? ""), {
        kind: "noCapacity",
        code: "compute.no_valid_host",
        message,
        reason: why,
      });
      const shown = JSON.parse((await bench.server(id)).fault ?? "") as Record<string, unknown>;
      assert.deepEqual([shown.code, shown.message, shown.details], [500, message, why]);
    }
    await bench.close();
  });

  test("a server on shared storage is told that no host mounts its store", async () => {
    const bench = await Bench.open(open);
    const { world, operations } = bench;
    await world.tools.store.tx((t) =>
      t.tables<{ compute_hosts: { facts: string } }>().updateTable("compute_hosts").set({ facts: "{}" }).execute(),
    );
    const id = await world.given.newServer({ storage: "shared" });
    const operation = await world.given.start(operations.create, await world.given.create(id));
    await world.toTheEnd();
    const { fault } = await world.operation(operation);
    assert.match(
      (JSON.parse(fault ?? "") as { reason: string }).reason,
      /, 3 with 2 GiB of disk free, 0 with a shared store$/,
    );
    await bench.close();
  });
});
