import assert from "node:assert/strict";
import { test } from "node:test";
import { onBothStores } from "../store/testing/stores.ts";
import { operation } from "./definition.ts";
import { type Gate, gate, OperationsBench } from "./testing/operations-bench.ts";

interface Notes {
  readonly looks: (string | undefined)[];
  hold?: Gate;
}

/** Waits for `go` or a minute; `hold` keeps it between its look at the signals and its wait. */
function waiting(notes: Notes) {
  return operation<null>("test.wait", { deadlineMs: 1000, resource: "thing" })
    .step("wait", {
      effect: async (a, { operation: op }) => {
        const go = a.received("go");
        notes.looks.push(go === undefined ? undefined : String(go.payload));
        await notes.hold?.pass();
        if (go) return String(go.payload);
        const until = op.createdAt + 60_000;
        if (a.attempt > 5) throw new Error("woken in vain");
        return a.wait({ untilMs: until, signals: ["go", "other"] });
      },
    })
    .step("again", { effect: async (a) => a.received("go")?.name ?? "none" })
    .build();
}

async function outputs(bench: OperationsBench, id: string): Promise<unknown[]> {
  return (await bench.steps(id)).map((row) => JSON.parse(row.output ?? "null"));
}

onBothStores("waiting", (open) => {
  test("by timer: the runner is free meanwhile", async () => {
    let looks = 0;
    const definition = operation<null>("test.timer", { deadlineMs: 1000, resource: "thing" })
      .step("wait", {
        effect: async (a, c) => {
          looks += 1;
          return a.attempt === 0 ? a.wait({ untilMs: c.operation.createdAt + 5000 }) : "over";
        },
      })
      .build();
    const bench = await OperationsBench.open(open, { definitions: [definition] });
    const id = await bench.run(definition, null);
    assert.equal((await bench.show(id)).state, "waiting");
    await bench.advance(4999);
    assert.equal(looks, 1);
    await bench.advance(1);
    assert.deepEqual([(await bench.show(id)).state, looks], ["done", 2]);
  });

  test("a signal that came before the step is there at once, and is consumed once", async () => {
    const notes: Notes = { looks: [] };
    const definition = waiting(notes);
    const bench = await OperationsBench.open(open, { definitions: [definition] });
    const id = await bench.start(definition, null);
    await bench.signal(id, "go", "early");
    await bench.drain();
    assert.deepEqual(await outputs(bench, id), ["early", "none"]);
    assert.deepEqual(notes.looks, ["early"]);
  });

  test("a signal during the wait wakes it; another name does not satisfy it, an unrelated one does not wake it", async () => {
    const notes: Notes = { looks: [] };
    const definition = waiting(notes);
    const bench = await OperationsBench.open(open, { definitions: [definition] });
    const id = await bench.run(definition, null);
    await bench.signal(id, "unrelated");
    await bench.drain();
    assert.equal(notes.looks.length, 1);
    await bench.signal(id, "go", "now");
    await bench.drain();
    assert.deepEqual(await outputs(bench, id), ["now", "none"]);
    assert.equal((await bench.show(id)).state, "done");
  });

  test("signals keep their order", async () => {
    const notes: Notes = { looks: [] };
    const definition = waiting(notes);
    const bench = await OperationsBench.open(open, { definitions: [definition] });
    const id = await bench.start(definition, null);
    for (const payload of ["1", "2", "3"]) await bench.signal(id, "go", payload);
    await bench.drain();
    assert.equal((await outputs(bench, id))[0], "1");
  });

  test("a signal between the step's last look and its parking is not slept over", async () => {
    const notes: Notes = { looks: [], hold: gate() };
    const definition = waiting(notes);
    const bench = await OperationsBench.open(open, { definitions: [definition] });
    const id = await bench.start(definition, null);
    const drained = bench.drain();
    await notes.hold?.reached;
    await bench.signal(id, "go", "between");
    notes.hold?.open();
    await drained;
    assert.deepEqual(notes.looks, [undefined, "between"]);
    assert.equal((await bench.show(id)).state, "done");
  });

  test("signals raced against the parking are never lost", async () => {
    const notes: Notes = { looks: [] };
    const definition = waiting(notes);
    const bench = await OperationsBench.open(open, { definitions: [definition] });
    const ids = await Promise.all(Array.from({ length: 12 }, () => bench.start(definition, null)));
    await Promise.all([
      bench.drain(),
      ...ids.map(async (id, i) => {
        for (let turn = 0; turn < i * 3; turn += 1) await new Promise((r) => setImmediate(r));
        await bench.signal(id, "go", "raced");
      }),
    ]);
    await bench.drain();
    for (const id of ids) assert.equal((await bench.show(id)).state, "done");
  });

  test("a signal reaches a step that is at work", async () => {
    const heard = Promise.withResolvers<string>();
    const began = gate();
    const definition = operation<null>("test.complete", { deadlineMs: 1000, resource: "thing" })
      .step("migrate", {
        effect: async (a) => {
          a.onSignal("complete", (signal) => heard.resolve(String(signal.payload)));
          await Promise.race([began.pass(), heard.promise]);
          return await heard.promise;
        },
      })
      .step("after", { effect: async (a) => a.received("complete") === undefined })
      .build();
    const bench = await OperationsBench.open(open, { definitions: [definition] });
    const id = await bench.start(definition, null);
    const drained = bench.drain();
    await began.reached;
    await bench.signal(id, "complete", "now");
    await drained;
    assert.deepEqual(await outputs(bench, id), ["now", true]);
  });

  test("a signal that was seen, while the step goes on waiting for more, does not spin it", async () => {
    let calls = 0;
    const definition = operation<null>("test.two", { deadlineMs: 1000, resource: "thing" })
      .step("both", {
        effect: async (a) => {
          calls += 1;
          const [x, y] = [a.received("x"), a.received("y")];
          return x && y ? "both" : a.wait({ signals: ["x", "y"] });
        },
      })
      .build();
    const bench = await OperationsBench.open(open, { definitions: [definition] });
    const id = await bench.start(definition, null);
    await bench.signal(id, "x");
    await bench.signal(id, "x");
    await bench.drain();
    assert.deepEqual([(await bench.show(id)).state, calls], ["waiting", 1]);
    await bench.signal(id, "y");
    await bench.drain();
    assert.deepEqual([(await bench.show(id)).state, calls], ["done", 2]);
  });

  test("an ended operation takes no signals; a wait must be able to end", async () => {
    const definition = operation<null>("test.forever", { deadlineMs: 1000, resource: "thing" })
      .step("forever", { effect: async (a) => a.wait({}) })
      .build();
    const bench = await OperationsBench.open(open, { definitions: [definition] });
    const id = await bench.run(definition, null);
    assert.equal((await bench.show(id)).state, "undone");
    await assert.rejects(bench.signal(id, "go"), {
      code: "operation.ended",
      message: new RegExp(`^Operation ${id} has ended: undone: `),
    });
  });
});
