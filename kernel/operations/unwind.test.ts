import assert from "node:assert/strict";
import { test } from "node:test";
import { onBothStores } from "../store/testing/stores.ts";
import { operation, Redo } from "./definition.ts";
import { OperationsBench } from "./testing/operations-bench.ts";
import { broken, fail, fiveSteps, recorded } from "./testing/recorded-operations.ts";

onBothStores("undoing", (open) => {
  test("an undo that fails is tried again; the reason of the failure stays", async () => {
    const record = recorded();
    fail(record, "do:c");
    fail(record, "undo:b", 1, () => new Error("not yet"));
    const definition = fiveSteps(record);
    const bench = await OperationsBench.open(open, { definitions: [definition] });
    const id = await bench.run(definition, null);
    const pausing = await bench.show(id);
    assert.deepEqual([pausing.state, pausing.direction, pausing.step], ["ready", "undo", "b"]);
    assert.match(String(pausing.trouble), /internal\.unexpected/);
    await bench.advance(500);
    assert.deepEqual(record.log.slice(3), ["undo:c", "undo:b", "undo:b", "undo:a", "failed:test.broken:ab"]);
    assert.deepEqual([(await bench.show(id)).state, (await bench.fault(id))?.code], ["undone", "test.broken"]);
  });

  test("an undo that keeps failing is stuck and resumes", async () => {
    const record = recorded();
    fail(record, "do:c");
    fail(record, "undo:a", 99);
    const definition = fiveSteps(record);
    const bench = await OperationsBench.open(open, { definitions: [definition] });
    const id = await bench.run(definition, null);
    for (let i = 0; i < 8; i += 1) await bench.advance(60_000);
    assert.deepEqual([(await bench.show(id)).state, (await bench.show(id)).step], ["stuck", "a"]);
    record.failing.clear();
    await bench.tx((t) => bench.control.retryNow(t, id));
    await bench.drain();
    assert.equal((await bench.show(id)).state, "undone");
  });

  test("a failing onFailed is tried again, not lost", async () => {
    let failures = 2;
    const definition = operation<null>("test.onfailed", { deadlineMs: 1000, resource: "thing" })
      .step("one", {
        effect: async () => {
          throw broken();
        },
      })
      .onFailed(async () => {
        failures -= 1;
        if (failures >= 0) throw new Error("a bug");
      });
    const bench = await OperationsBench.open(open, { definitions: [definition] });
    const id = await bench.run(definition, null);
    assert.equal((await bench.show(id)).state, "ready");
    await bench.advance(500);
    await bench.advance(1000);
    assert.equal((await bench.show(id)).state, "undone");
    assert.equal(failures, -1);
  });

  test("an undo sees the results of earlier steps only", async () => {
    const seen: unknown[] = [];
    const definition = operation<null>("test.outputs", { deadlineMs: 1000, resource: "thing" })
      .step("one", { tx: async () => 1 })
      .step("two", { effect: async () => 2, undo: async (_a, c) => void seen.push({ ...c.out }) })
      .step("three", {
        effect: async () => {
          throw broken();
        },
      })
      .build();
    const bench = await OperationsBench.open(open, { definitions: [definition] });
    await bench.run(definition, null);
    assert.deepEqual(seen, [{ one: 1 }]);
  });

  test("Redo goes back to a step with notes, decides skips anew, and uses fresh keys for its calls", async () => {
    const log: string[] = [];
    const phases: string[] = [];
    const definition = operation<null>("test.redo", { deadlineMs: 1000, resource: "thing" })
      .step("keep", {
        effect: async () => void log.push("keep"),
        undo: async () => void log.push("undo:keep"),
      })
      .step("pick", {
        tx: async (_t, { memo }) => {
          const tried = (memo.tried ?? []) as string[];
          return ["h1", "h2", "h3"].find((h) => !tried.includes(h)) ?? "none";
        },
        undoTx: async () => void log.push("undo:pick"),
      })
      .step("special", { when: ({ out }) => out.pick === "h2", effect: async () => void log.push("special") })
      .step("boot", {
        effect: async (a, { out, memo }) => {
          log.push(`boot:${out.pick}:${out.special === undefined}`);
          await a.call({}, "boot" as never, {} as never, { to: { host: out.pick } });
          if (out.pick === "h1") {
            const tried = [...((memo.tried ?? []) as string[]), out.pick];
            throw new Redo("pick", { tried }, { kind: "noCapacity", code: "test.full", message: "full" });
          }
        },
        undo: async (_a, { out }) => void log.push(`undo:boot:${out.pick}`),
      })
      .build();
    const bench = await OperationsBench.open(open, {
      definitions: [definition],
      agent: async (origin) => void phases.push(origin.phase),
    });
    const id = await bench.run(definition, null);
    assert.deepEqual(log, ["keep", "boot:h1:true", "undo:boot:h1", "undo:pick", "special", "boot:h2:true"]);
    assert.deepEqual(phases, ["do1", "do2"]);
    const row = await bench.show(id);
    assert.deepEqual([row.state, row.run, row.fault, row.memo], ["done", 2, null, '{"tried":["h1"]}']);
    assert.deepEqual(await bench.journal(id), [
      "keep:done",
      "pick:undone",
      "special:undone",
      "boot:undone",
      "pick:done",
      "special:done",
      "boot:done",
    ]);
  });

  test("a Redo to nowhere undoes everything with its reason", async () => {
    const definition = operation<null>("test.nowhere", { deadlineMs: 1000, resource: "thing" })
      .step("one", {
        effect: async () => {
          throw new Redo("nosuch", {}, { kind: "noCapacity", code: "test.full", message: "full" });
        },
      })
      .build();
    const bench = await OperationsBench.open(open, { definitions: [definition] });
    const id = await bench.run(definition, null);
    assert.deepEqual([(await bench.show(id)).state, (await bench.fault(id))?.code], ["undone", "test.full"]);
  });
});
