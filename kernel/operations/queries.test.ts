import assert from "node:assert/strict";
import { test } from "node:test";
import { onBothStores } from "../store/testing/stores.ts";
import { operation } from "./definition.ts";
import { countOperations, eventsOfRequest, listOperations, showOperation } from "./queries.ts";
import { OperationsBench } from "./testing/operations-bench.ts";

const wait = operation<{ secret: string }>("test.wait", { deadlineMs: 1000, resource: "thing" })
  .step("first", { tx: async () => ({ password: "hidden" }), event: "thing_first", eventHost: () => "h1" })
  .step("wait", {
    event: "thing_wait",
    requestId: () => "req-confirm",
    effect: async (a) => (a.received("go") ? undefined : a.wait({ signals: ["go"] })),
  })
  .build();

onBothStores("operation queries", (open) => {
  test("pages newest first, also among operations of the same moment, each once", async () => {
    const bench = await OperationsBench.open(open, { definitions: [wait] });
    const ids: string[] = [];
    for (let i = 0; i < 7; i += 1) {
      ids.push(await bench.start(wait, { secret: "x" }));
      if (i % 3 === 0) bench.clock.advance(1);
    }
    const seen: string[] = [];
    let marker: string | undefined;
    for (;;) {
      const page = await listOperations(bench.store.read, {}, { limit: 3, marker });
      seen.push(...page.map((o) => o.id));
      marker = page.at(-1)?.id;
      if (page.length < 3) break;
    }
    assert.deepEqual(seen, ids.toReversed());
    await assert.rejects(listOperations(bench.store.read, {}, { limit: 3, marker: "nope" }), {
      code: "operation.bad_marker",
    });
  });

  test("filters, details and events; nothing of what went in or came out", async () => {
    const bench = await OperationsBench.open(open, { definitions: [wait] });
    const first = await bench.run(wait, { secret: "s3cr3t" });
    bench.clock.advance(1000);
    const second = await bench.start(wait, { secret: "s3cr3t" }, "thing-2");
    const find = async (filter: Parameters<typeof listOperations>[1]) =>
      (await listOperations(bench.store.read, filter, { limit: 10 })).map((o) => o.id);
    assert.deepEqual(await find({ state: ["waiting"] }), [first]);
    assert.deepEqual(await find({ name: "test.wait" }), [second, first]);
    assert.deepEqual(await find({ resourceId: "thing-2", projectId: "project" }), [second]);
    assert.deepEqual(await find({ projectId: "other" }), []);
    assert.deepEqual(await find({ since: bench.clock.now() }), [second]);
    const shown = await showOperation(bench.store.read, first);
    assert.deepEqual(shown?.operation.waitingFor, ["go"]);
    assert.deepEqual(
      shown?.steps.map((s) => [s.step, s.state, s.event, s.host]),
      [
        ["first", "done", "thing_first", "h1"],
        ["wait", "started", "thing_wait", null],
      ],
    );
    assert.doesNotMatch(JSON.stringify(shown), /s3cr3t|hidden/);
    assert.equal(await showOperation(bench.store.read, "nope"), undefined);
    const events = await eventsOfRequest(bench.store.read, "req-confirm");
    assert.deepEqual(
      events.map((e) => [e.operationId, e.event]),
      [[first, "thing_wait"]],
    );
  });

  test("counts for metrics", async () => {
    const bench = await OperationsBench.open(open, { definitions: [wait] });
    await bench.run(wait, { secret: "" });
    await bench.start(wait, { secret: "" });
    bench.clock.advance(250);
    const counts = await countOperations(bench.store.read, bench.clock.now());
    assert.deepEqual(counts.byNameAndState.map((c) => [c.name, c.state, c.count]).sort(), [
      ["test.wait", "ready", 1],
      ["test.wait", "waiting", 1],
    ]);
    assert.deepEqual([counts.queueAgeMs, counts.late], [250, 0]);
  });
});
