import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { ManualClock } from "../../../kernel/clock/manual-clock.ts";
import { systemIds } from "../../../kernel/ids/ids.ts";
import { OperationControl } from "../../../kernel/operations/control.ts";
import { operation } from "../../../kernel/operations/definition.ts";
import { type OperationTables, operationMigrations } from "../../../kernel/operations/tables.ts";
import { counterMigration } from "../../../kernel/store/counters.ts";
import type { Store } from "../../../kernel/store/store.ts";
import { openSqlite } from "../../../kernel/store/testing/stores.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { waitForChecks } from "./wait-for-checks.ts";

const work = operation<null>("test.checks", { resource: "server", deadlineMs: 60_000 })
  .step("check-source", { effect: async () => {} })
  .build();

test("checks of whose end no notification came are found by and by", { timeout: 20_000 }, async () => {
  const { store, dispose } = await openSqlite([counterMigration, ...operationMigrations]);
  const clock = new ManualClock();
  const control = new OperationControl(clock, systemIds);
  const id = await store.tx((t) => control.start(t, work, { input: null, resourceId: systemIds.uuid() }));
  const deaf: Store = { ...store, read: store.read, tx: (fn) => store.tx(fn), listen: () => () => {} };
  const deps = { kernel: { store: deaf, clock } } as unknown as FaceDependencies;
  let over = false;
  const waiting = waitForChecks(deps, id, new AbortController().signal).finally(() => {
    over = true;
  });
  for (let turns = 0; turns < 50; turns += 1) await setImmediate();
  await store.tx((t) =>
    t.tables<OperationTables>().updateTable("operations").set({ state: "done" }).where("id", "=", id).execute(),
  );
  for (let turns = 0; turns < 100 && !over; turns += 1) {
    clock.advance(100);
    await setImmediate();
  }
  assert.ok(over, "within ten seconds");
  await waiting;
  assert.equal(clock.pendingTimers, 0);
  await dispose();
});
