import assert from "node:assert/strict";
import { test } from "node:test";
import { parsePlace, placeMatches, withoutPool } from "./place.ts";

test("a place has a node, maybe a backend, maybe a pool", () => {
  assert.deepEqual(parsePlace("a@b#c"), { node: "a", backend: "b", pool: "c" });
  assert.deepEqual(parsePlace("a@b"), { node: "a", backend: "b", pool: null });
  assert.deepEqual(parsePlace("a"), { node: "a", backend: null, pool: null });
  assert.equal(withoutPool("a@b#c"), "a@b");
});

test("names match by whole parts, never by substring", () => {
  const values = ["node1", "node1@lvm", "node1@lvm#p", "node1@lvm2", "node1#p", "node10", "xnode1"];
  const matched = (given: string) => values.filter((value) => placeMatches(given, value));
  assert.deepEqual(matched("node1"), ["node1", "node1@lvm", "node1@lvm#p", "node1@lvm2", "node1#p"]);
  assert.deepEqual(matched("node1@lvm"), ["node1@lvm", "node1@lvm#p"]);
  assert.deepEqual(matched("node1@lvm#p"), ["node1@lvm#p"]);
  assert.deepEqual(matched("node"), []);
  assert.deepEqual(matched(""), []);
});
