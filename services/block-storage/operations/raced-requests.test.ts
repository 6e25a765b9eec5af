import assert from "node:assert/strict";
import { it } from "node:test";
import fc from "fast-check";
import { onBothStores, type TestStore } from "../../../kernel/store/testing/stores.ts";
import { type Request, Rivals, raced } from "./testing/rivals.ts";

/** Of a run: how many requests meet at once, and how often. */
const BATCHES = 8;
const AT_ONCE = 6;
const RUNS = { sqlite: 12, postgres: 3 } as const;
const seed = process.env.PILEUS_RACE_SEED === undefined ? {} : { seed: Number(process.env.PILEUS_RACE_SEED) };

onBothStores("requests about backends race against each other and against those about volumes", (open) => {
  it("flags agree, nothing comes to a closed backend, everything ends, replication statuses are right", async () => {
    const opened: TestStore[] = [];
    const tracked: typeof open = async (migrations) => {
      const store = await open(migrations);
      opened.push(store);
      return store;
    };
    const batches = fc.array(
      fc.record({ requests: fc.array(raced, { minLength: 2, maxLength: AT_ONCE }), turns: fc.nat(40) }),
      {
        minLength: 2,
        maxLength: BATCHES,
      },
    );
    const once = async (given: { requests: Request[]; turns: number }[]) => {
      const rivals = await Rivals.open(tracked);
      try {
        for (const { requests, turns } of given) {
          await rivals.meet(requests);
          await rivals.look();
          await rivals.world.turns(turns);
          await rivals.look();
        }
        await rivals.expectRest();
      } finally {
        await rivals.close();
      }
    };
    const dialect = (await tracked([])).store.dialect;
    await fc.assert(fc.asyncProperty(batches, once), {
      numRuns: RUNS[dialect],
      interruptAfterTimeLimit: 60_000,
      ...seed,
    });
    // A machine that is busy gets through fewer.
    assert.ok(opened.length > 1, "no run has come to its end");
  });
});
