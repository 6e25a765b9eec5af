import assert from "node:assert/strict";
import { test } from "node:test";
import { openSqlite } from "../../../kernel/store/testing/stores.ts";
import { Bench } from "./testing/bench.ts";
import { expectCleanSlate } from "./testing/clean-slate.ts";

const HOUR_MS = 3_600_000;

for (const [how, skewMs] of [
  ["ahead of", HOUR_MS],
  ["behind", -HOUR_MS],
] as const) {
  test(`hosts whose clocks are an hour ${how} the server's work as others do`, async () => {
    const bench = await Bench.open(openSqlite, {}, skewMs);
    const { world, operations } = bench;
    const id = await world.given.server({ storage: "shared" });
    await world.given.start(operations.liveMigrate, await world.given.liveMigrate(id, { host: "b" }));
    await world.toTheEnd();
    await expectCleanSlate(world, { serverId: id, host: "b", vm: "active" });
    await bench.close();
  });

  test(`a command is given up in time by hosts whose clocks are an hour ${how} the server's`, async () => {
    const bench = await Bench.open(openSqlite, { bootTimeoutMs: 60_000 }, skewMs);
    const { world, operations } = bench;
    const hang = world.sim.faults.add({ verb: "compute.ensure", fault: { type: "hang" } });
    const id = await world.given.newServer();
    const began = world.tools.clock.now();
    await world.given.start(operations.create, await world.given.create(id));
    await world.toTheEnd();
    assert.equal(hang.hits, 1);
    const took = world.tools.clock.now() - began;
    assert.ok(took >= 60_000 && took < 180_000, `it took ${took} ms`);
    await expectCleanSlate(world, { serverId: id, host: ["a", "b", "c"], vm: "active" });
    await bench.close();
  });
}
