import assert from "node:assert/strict";
import { test } from "node:test";
import { eventsIn } from "./event-lines.ts";

test("events are found wherever the pieces are cut", async () => {
  const text = ': open\n\nevent: operation\ndata: {"n":1}\n\nid: 7\ndata: {"n":\ndata: 2}\n\ndata: {"n":3';
  for (const size of [1, 5, text.length]) {
    const pieces = Array.from({ length: Math.ceil(text.length / size) }, (_, i) =>
      text.slice(i * size, (i + 1) * size),
    );
    const found = await Array.fromAsync(eventsIn(streamOf(pieces)));
    assert.deepEqual(found, [{ n: 1 }, { n: 2 }]);
  }
});

async function* streamOf(pieces: readonly string[]): AsyncGenerator<string> {
  yield* pieces;
}
