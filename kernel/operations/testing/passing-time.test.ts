import assert from "node:assert/strict";
import { test } from "node:test";
import { openSqlite } from "../../store/testing/stores.ts";
import { PassingTime } from "./passing-time.ts";
import { worldTools } from "./world-tools.ts";

test("time passes only while nothing is under way on the store and nobody is busy", async () => {
  const database = await openSqlite([]);
  const { store, clock } = worldTools(database.store);
  let busy = false;
  const time = new PassingTime({ store, clock }, () => busy);
  const begun = clock.now();
  const turns = () => {
    for (let i = 0; i < 100; i += 1) time.turn();
    return clock.now() - begun;
  };
  const gate = Promise.withResolvers<void>();
  const writing = store.tx(() => gate.promise);
  assert.equal(turns(), 0);
  busy = true;
  gate.resolve();
  await writing;
  assert.equal(turns(), 0);
  busy = false;
  await time.settle();
  assert.equal(clock.now(), begun);
  assert.ok(turns() > 0);
  await store.close();
  await database.dispose();
});
