import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../clock/manual-clock.ts";
import { CloudError } from "../errors/cloud-error.ts";
import { systemIds } from "../ids/ids.ts";
import { Loggers } from "../log/logger.ts";
import { onBothStores } from "../store/testing/stores.ts";
import { ProcessLogLevels } from "./process-log-levels.ts";
import { FleetBench } from "./testing/fleet-bench.ts";

onBothStores("Log levels", (open) => {
  test("every process of the server can be told and asked by any other", async () => {
    const opened = await open([]);
    const clock = new ManualClock();
    const process = async (host: string, store = opened.store) => {
      const loggers = new Loggers({ destination: { write: () => undefined } });
      for (const name of ["fleet", "fleet.commands", "store"]) loggers.get(name);
      return new ProcessLogLevels(host, { store, clock, ids: systemIds, loggers });
    };
    const one = await process("one");
    const two = await process("two", await opened.again());
    await one.setLevel("two", "fleet", "debug");
    while ((await one.levelsOf("two", "fleet")).fleet !== "debug");
    assert.deepEqual(await one.levelsOf("two", ""), { fleet: "debug", "fleet.commands": "debug", store: "info" });
    assert.deepEqual(await one.levelsOf("one", "store"), { store: "info" });
    const silence = one.levelsOf("three", "");
    const refused = assert.rejects(silence, (error) => error instanceof CloudError && error.kind === "unavailable");
    while (clock.pendingTimers === 0) await opened.store.tx(async () => {});
    clock.advance(5_000);
    await refused;
    one.close();
    two.close();
    await opened.dispose();
  });

  test("an agent hears of new levels at once; what a later prefix covers is forgotten", async () => {
    const bench = await FleetBench.open(open);
    await bench.boot("a");
    const polled = bench.poll("a", [], 10_000);
    await bench.until(() => bench.clock.pendingTimers > 0);
    await bench.fleet.setLogLevels("a", { "compute.qemu": "debug" });
    assert.deepEqual((await polled).logLevels, { "compute.qemu": "debug" });
    await bench.fleet.setLogLevels("a", { agent: "error" });
    await bench.fleet.setLogLevels("a", { compute: "warn" });
    const reply = await bench.until(async () => {
      const { logLevels } = await bench.poll("a");
      return "compute" in logLevels ? logLevels : undefined;
    });
    assert.deepEqual(reply, { agent: "error", compute: "warn" });
    assert.deepEqual((await bench.poll("b")).logLevels, {});
    await bench.close();
  });
});
