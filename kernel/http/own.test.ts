import assert from "node:assert/strict";
import { test } from "node:test";
import { own, without } from "./own.ts";

test("names that every object answers to are nobody's key", () => {
  const record = { colour: "blue" };
  assert.deepEqual(
    [own(record, "colour"), own(record, "constructor"), own(record, "__proto__")],
    ["blue", undefined, undefined],
  );
  assert.deepEqual([without(record, "colour"), without(record, "toString")], [{}, undefined]);
  assert.deepEqual(record, { colour: "blue" });
});
