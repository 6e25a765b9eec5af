import assert from "node:assert/strict";
import { test } from "node:test";
import { didYouMean } from "./did-you-mean.ts";

test("a mistyped word finds its neighbour, a strange one none", () => {
  const known = ["list", "show", "watch", "operations"];
  assert.deepEqual(
    ["lst", "ilst", "wacth", "operatons", "oper", "xyz", ""].map((word) => didYouMean(word, known)),
    ["list", "list", "watch", "operations", "operations", null, null],
  );
});
