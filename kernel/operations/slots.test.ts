import assert from "node:assert/strict";
import { test } from "node:test";
import { onBothStores } from "../store/testing/stores.ts";
import { operation, Redo } from "./definition.ts";
import { OperationsBench } from "./testing/operations-bench.ts";
import { broken } from "./testing/recorded-operations.ts";

interface Asked {
  name: string;
  priority?: number;
  fails?: boolean;
}

/** Holds one of two places while it waits for `leave`. */
function migration(log: string[]) {
  return operation<Asked>("test.slots", {
    deadlineMs: 1e9,
    resource: "thing",
    priority: (input) => input.priority ?? 0,
  })
    .step("move", {
      slot: () => ({ key: "host-1", max: 2 }),
      effect: async (a, { input }) => {
        if (a.attempt === 0) log.push(input.name);
        if (!a.received("leave")) return a.wait({ signals: ["leave"] });
        if (input.fails) throw broken();
      },
    })
    .build();
}

onBothStores("slots", (open) => {
  test("only so many at a time; a place goes to the highest priority, then to the oldest", async () => {
    const log: string[] = [];
    const definition = migration(log);
    const bench = await OperationsBench.open(open, { definitions: [definition] });
    const ids = new Map<string, string>();
    const start = async (asked: Asked) => ids.set(asked.name, await bench.start(definition, asked));
    const leave = async (name: string) => {
      await bench.signal(ids.get(name) ?? "", "leave");
      await bench.drain();
    };
    for (const name of ["a", "b"]) await start({ name, fails: name === "b" });
    await bench.drain();
    for (const asked of [{ name: "low" }, { name: "high", priority: 5 }, { name: "low2" }]) {
      bench.clock.advance(1);
      await start(asked);
    }
    await bench.drain();
    assert.deepEqual(log.toSorted(), ["a", "b"]);
    assert.equal((await bench.show(ids.get("low") ?? "")).state, "waiting");
    await leave("a");
    assert.equal(log[2], "high");
    await leave("b");
    assert.equal((await bench.show(ids.get("b") ?? "")).state, "undone");
    assert.deepEqual(log.slice(2), ["high", "low"]);
    await leave("high");
    assert.deepEqual(log.slice(2), ["high", "low", "low2"]);
    await leave("low");
    await leave("low2");
    for (const [name, id] of ids) assert.equal((await bench.show(id)).state, name === "b" ? "undone" : "done");
  });

  test("cancelling or abandoning gives the place back, also for one that still waits", async () => {
    const log: string[] = [];
    const definition = migration(log);
    const bench = await OperationsBench.open(open, { definitions: [definition] });
    const ids: string[] = [];
    for (const name of ["a", "b", "c", "d", "e"]) {
      ids.push(await bench.start(definition, { name }));
      await bench.drain();
      bench.clock.advance(1);
    }
    assert.deepEqual(log, ["a", "b"]);
    const [a = "", b = "", c = ""] = ids;
    await bench.tx((t) => bench.control.cancel(t, c));
    await bench.drain();
    assert.equal((await bench.show(c)).state, "undone");
    await bench.tx((t) => bench.control.abandon(t, a));
    await bench.tx((t) => bench.control.cancel(t, b));
    await bench.drain();
    assert.deepEqual(log.slice(2).toSorted(), ["d", "e"]);
  });

  test("a Redo gives back the place that its undone step held", async () => {
    const definition = operation<null>("test.slotredo", { deadlineMs: 1e9, resource: "thing" })
      .step("pick", { tx: async (_t, { memo }) => (memo.full ? "h2" : "h1") })
      .step("move", {
        slot: ({ out }) => ({ key: out.pick, max: 1 }),
        effect: async (a, { out }) => {
          if (out.pick === "h1")
            throw new Redo("pick", { full: true }, { kind: "noCapacity", code: "test.full", message: "full" });
          return a.received("leave") ? undefined : a.wait({ signals: ["leave"] });
        },
      })
      .build();
    const bench = await OperationsBench.open(open, { definitions: [definition] });
    await bench.run(definition, null);
    const held = await bench.store.read
      .tables<{ operation_slots: { slot_key: string } }>()
      .selectFrom("operation_slots")
      .select("slot_key")
      .execute();
    assert.deepEqual(
      held.map((row) => row.slot_key),
      ["h2"],
    );
  });

  test("many that race for few places never hold more than there are", async () => {
    let inside = 0;
    let most = 0;
    const definition = operation<null>("test.race", { deadlineMs: 1e9, resource: "thing" })
      .step("move", {
        slot: () => ({ key: "k", max: 3 }),
        effect: async () => {
          inside += 1;
          most = Math.max(most, inside);
          await new Promise((r) => setImmediate(r));
        },
      })
      .step("after", {
        tx: async () => {
          inside -= 1;
        },
      })
      .build();
    const bench = await OperationsBench.open(open, { definitions: [definition] });
    const ids = await Promise.all(Array.from({ length: 15 }, () => bench.start(definition, null)));
    const second = bench.runner({ store: await bench.again() });
    await Promise.all([bench.drain(), second.drain()]);
    await Promise.all([bench.drain(), second.drain()]);
    for (const id of ids) assert.equal((await bench.show(id)).state, "done");
    assert.ok(most <= 3);
  });
});
