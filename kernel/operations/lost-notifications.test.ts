import { test } from "node:test";
import { openPostgres, terminateListeners } from "../store/testing/stores.ts";
import { operation } from "./definition.ts";
import type { OperationTables } from "./tables.ts";
import { OperationsBench } from "./testing/operations-bench.ts";

const skip = process.env.PILEUS_TEST_POSTGRES ? false : "PILEUS_TEST_POSTGRES names no server; npm test starts one";
const LEASE_MS = 30_000;

/** An operation at work that ends only by being told to. */
async function atWork() {
  const began = Promise.withResolvers<void>();
  const told = Promise.withResolvers<void>();
  const definition = operation<null>("test.deaf", { deadlineMs: 1000, resource: "thing" })
    .step("work", {
      effect: async (a) => {
        began.resolve();
        await new Promise<void>((resolve) => a.signal.addEventListener("abort", () => resolve()));
        told.resolve();
      },
    })
    .build();
  let dispose = async () => {};
  const open = async (migrations: Parameters<typeof openPostgres>[0]) => {
    const database = await openPostgres(migrations);
    dispose = database.dispose;
    return database;
  };
  const bench = await OperationsBench.open(open, { definitions: [definition] });
  const runner = bench.runner();
  await runner.start();
  const id = await bench.start(definition, null);
  await began.promise;
  const close = async () => {
    await runner.stop();
    await dispose();
  };
  return { bench, id, told: told.promise, close };
}

test("a cancel while the runner is deaf reaches it once it listens again", { skip, timeout: 20_000 }, async () => {
  const { bench, id, told, close } = await atWork();
  await terminateListeners(bench.store);
  await bench.tx((t) => bench.control.cancel(t, id));
  await told;
  await close();
});

test("an abandonment of which no notification came is noticed at the renewal", { skip, timeout: 20_000 }, async () => {
  const { bench, id, told, close } = await atWork();
  const silent = { state: "abandoned" } as const;
  await bench.tx((t) =>
    t.tables<OperationTables>().updateTable("operations").set(silent).where("id", "=", id).execute(),
  );
  bench.clock.advance(LEASE_MS / 3);
  await told;
  await close();
});

test("a cancel of which no notification came is noticed at the renewal", { skip, timeout: 20_000 }, async () => {
  const { bench, id, told, close } = await atWork();
  const silent = { cancelled: 1 };
  await bench.tx((t) =>
    t.tables<OperationTables>().updateTable("operations").set(silent).where("id", "=", id).execute(),
  );
  bench.clock.advance(LEASE_MS / 3);
  await told;
  await close();
});
