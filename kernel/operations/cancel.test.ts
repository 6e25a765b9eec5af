import assert from "node:assert/strict";
import { test } from "node:test";
import { onBothStores } from "../store/testing/stores.ts";
import { operation } from "./definition.ts";
import { gate, OperationsBench } from "./testing/operations-bench.ts";
import { away, fail, fiveSteps, recorded } from "./testing/recorded-operations.ts";

onBothStores("cancelling and abandoning", (open) => {
  test("before it began: nothing runs", async () => {
    const record = recorded();
    const definition = fiveSteps(record);
    const bench = await OperationsBench.open(open, { definitions: [definition] });
    const id = await bench.start(definition, null);
    await bench.tx((t) => bench.control.cancel(t, id));
    await bench.drain();
    assert.deepEqual(record.log, ["failed:operation.cancelled:"]);
    assert.equal((await bench.show(id)).state, "undone");
    await assert.rejects(
      bench.tx((t) => bench.control.cancel(t, id)),
      { code: "operation.ended", message: `Operation ${id} has ended: undone: The operation was cancelled.` },
    );
  });

  test("during a call: it is aborted, and its undo runs only when it has returned", async () => {
    const log: string[] = [];
    const slow = gate();
    const definition = operation<null>("test.cancel", { deadlineMs: 1000, resource: "thing" })
      .step("work", {
        effect: async (a) => {
          try {
            await a.call({}, "slow" as never, {} as never, { to: { host: "h" } });
          } finally {
            log.push("left");
          }
          await a.call({}, "second" as never, {} as never, { to: { host: "h" } });
        },
        undo: async () => void log.push("undo"),
      })
      .onFailed(async (_t, _c, failure) => void log.push(`cancelled:${failure.cancelled}`));
    const bench = await OperationsBench.open(open, {
      definitions: [definition],
      agent: async (origin, verb) => {
        log.push(verb);
        origin.signal.addEventListener("abort", () => log.push("aborted"));
        await slow.pass();
      },
    });
    const id = await bench.start(definition, null);
    const drained = bench.drain();
    await slow.reached;
    await bench.tx((t) => bench.control.cancel(t, id));
    await drained;
    slow.open();
    assert.deepEqual(log, ["slow", "aborted", "left", "undo", "cancelled:true"]);
    assert.deepEqual([(await bench.show(id)).state, (await bench.fault(id))?.code], ["undone", "operation.cancelled"]);
  });

  test("during a wait and during a retry pause: it unwinds at once", async () => {
    const record = recorded();
    fail(record, "do:b", 2, away);
    const definition = fiveSteps(record);
    const waiting = operation<null>("test.waiting", { deadlineMs: 1000, resource: "thing" })
      .step("wait", { effect: async (a) => a.wait({ signals: ["never"] }) })
      .build();
    const bench = await OperationsBench.open(open, { definitions: [definition, waiting] });
    const ids = [await bench.start(definition, null), await bench.start(waiting, null)];
    await bench.drain();
    for (const id of ids) await bench.tx((t) => bench.control.cancel(t, id));
    await bench.drain();
    for (const id of ids) assert.equal((await bench.show(id)).state, "undone");
    assert.deepEqual(record.log, ["do:a", "do:b", "undo:b", "undo:a", "failed:operation.cancelled:a"]);
  });

  test("between the end of a step's work and its parking: it does not go to sleep", async () => {
    const hold = gate();
    const definition = operation<null>("test.parking", { deadlineMs: 1000, resource: "thing" })
      .step("wait", { effect: async (a) => a.wait({ signals: ["never"] }) })
      .build();
    const bench = await OperationsBench.open(open, {
      definitions: [definition],
      hook: (point) => {
        if (point.when === "worked" && point.phase === "do") {
          void bench.tx((t) => bench.control.cancel(t, point.operationId)).then(hold.open);
        }
      },
    });
    const id = await bench.run(definition, null);
    await hold.opened;
    await bench.drain();
    assert.equal((await bench.show(id)).state, "undone");
  });

  test("while the last step before the pivot is committed: it is undone", async () => {
    const record = recorded();
    const hold = gate();
    const definition = fiveSteps(record);
    const bench = await OperationsBench.open(open, {
      definitions: [definition],
      hook: (point) => {
        if (point.step === "c" && point.phase === "do" && point.when === "before") {
          void bench.tx((t) => bench.control.cancel(t, point.operationId)).then(hold.open);
        }
      },
    });
    const id = await bench.run(definition, null);
    await hold.opened;
    assert.equal((await bench.show(id)).state, "undone");
    assert.equal(record.log.includes("do:d"), false);
    assert.deepEqual(
      record.log.filter((l) => l.startsWith("undo")),
      ["undo:c", "undo:b", "undo:a"],
    );
  });

  test("past the pivot it is refused", async () => {
    const record = recorded();
    fail(record, "do:d", 1, away);
    const definition = fiveSteps(record);
    const bench = await OperationsBench.open(open, { definitions: [definition] });
    const id = await bench.run(definition, null);
    await assert.rejects(
      bench.tx((t) => bench.control.cancel(t, id)),
      { kind: "conflict", code: "operation.past_pivot" },
    );
    await bench.advance(60_000);
    assert.deepEqual([(await bench.show(id)).state, (await bench.show(id)).cancelled], ["done", 0]);
    assert.equal(record.log.filter((l) => l.startsWith("undo")).length, 0);
  });

  test("an operation that begins behind its pivot is never cancelled", async () => {
    const log: string[] = [];
    const definition = operation<null>("test.only-forward", { deadlineMs: 1000, resource: "thing" })
      .pivot()
      .step("remove", { effect: async () => void log.push("removed") })
      .build();
    const bench = await OperationsBench.open(open, { definitions: [definition] });
    const id = await bench.start(definition, null);
    await assert.rejects(
      bench.tx((t) => bench.control.cancel(t, id)),
      { code: "operation.past_pivot" },
    );
    await bench.drain();
    assert.deepEqual([(await bench.show(id)).state, log], ["done", ["removed"]]);
  });

  for (const kind of ["effect", "tx"] as const) {
    test(`a cancel accepted just before a pivoted ${kind} step starts is kept`, async () => {
      const log: string[] = [];
      const asked = gate();
      const act = async () => void log.push("past");
      const start = operation<null>("test.race", { deadlineMs: 1000, resource: "thing" })
        .step("first", { effect: async () => 1, undo: async () => void log.push("undo") })
        .pivot();
      const when = () => {
        // Decided between the look at the cancel flag and the commit that passes the pivot.
        void cancelNow().then(asked.open);
        return true;
      };
      const definition = start.step("point", kind === "tx" ? { tx: act, when } : { effect: act, when }).build();
      const bench = await OperationsBench.open(open, { definitions: [definition] });
      const id = await bench.start(definition, null);
      let outcome = "";
      const cancelNow = () =>
        bench
          .tx((t) => bench.control.cancel(t, id))
          .then(
            () => {
              outcome = "accepted";
            },
            () => {
              outcome = "refused";
            },
          );
      await bench.drain();
      await asked.opened;
      await bench.drain();
      // On PostgreSQL the two transactions race; whatever the answer was, it must be true.
      const ended = [(await bench.show(id)).state, log];
      assert.deepEqual(ended, outcome === "accepted" ? ["undone", ["undo"]] : ["done", ["past"]]);
    });
  }

  test("abandon fences what is at work: its result changes nothing, nothing is undone", async () => {
    const hold = gate();
    const log: string[] = [];
    const definition = operation<null>("test.abandon", { deadlineMs: 1000, resource: "thing" })
      .step("work", { effect: () => hold.pass(), undo: async () => void log.push("undo") })
      .step("write", { tx: async () => void log.push("write") })
      .onFailed(async () => void log.push("failed"));
    const bench = await OperationsBench.open(open, { definitions: [definition] });
    const id = await bench.start(definition, null);
    const drained = bench.drain();
    await hold.reached;
    await bench.tx((t) => bench.control.abandon(t, id));
    await drained;
    hold.open();
    await bench.drain();
    assert.deepEqual([(await bench.show(id)).state, log], ["abandoned", []]);
    assert.deepEqual(await bench.journal(id), ["work:started"]);
    await bench.tx((t) => bench.control.abandon(t, id));
  });

  test("abandon during a tx step or a progress report: the later commit is refused", async () => {
    const wrote: string[] = [];
    const definition = operation<null>("test.refused", { deadlineMs: 1000, resource: "thing" })
      .step("one", { effect: async () => 1 })
      .step("two", { tx: async () => void wrote.push("two") })
      .build();
    const abandoned = gate();
    const bench = await OperationsBench.open(open, {
      definitions: [definition],
      hook: (point) => {
        if (point.step === "one" && point.when === "journaled") {
          void bench.tx((t) => bench.control.abandon(t, point.operationId)).then(abandoned.open);
        }
      },
    });
    const id = await bench.start(definition, null);
    await bench.drain();
    await abandoned.opened;
    const row = await bench.show(id);
    // On PostgreSQL the two transactions race; whichever is first, the other one must see it.
    assert.deepEqual(
      row.state === "abandoned" ? [row.state, await bench.journal(id)] : [row.state, wrote],
      row.state === "abandoned" ? ["abandoned", ["one:done"]] : ["done", ["two"]],
    );
  });
});
