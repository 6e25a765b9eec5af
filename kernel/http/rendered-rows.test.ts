import assert from "node:assert/strict";
import { test } from "node:test";
import { RenderedRows } from "./rendered-rows.ts";

const bytes = Buffer.from("{}");

test("a row is found by its reader, its id and its stamp", () => {
  const rendered = new RenderedRows(10_000);
  rendered.of("admin").keep("1", "a", bytes);
  assert.equal(rendered.of("admin").find("1", "a"), bytes);
  assert.equal(rendered.of("admin").find("1", "b"), undefined);
  assert.equal(rendered.of("admin").find("2", "a"), undefined);
  assert.equal(rendered.of("member").find("1", "a"), undefined);
});

test("a new stamp takes the place of the old", () => {
  const rows = new RenderedRows(10_000).of("admin");
  rows.keep("1", "a", bytes);
  rows.keep("1", "b", Buffer.from("[]"));
  assert.equal(rows.find("1", "a"), undefined);
  assert.equal(String(rows.find("1", "b")), "[]");
});

test("what is kept is bounded, whoever asks", () => {
  const rendered = new RenderedRows(10_000);
  const large = Buffer.alloc(1000);
  for (let i = 0; i < 100; i += 1) rendered.of(`reader ${i}`).keep("1", "a", large);
  let found = 0;
  for (let i = 0; i < 100; i += 1) if (rendered.of(`reader ${i}`).find("1", "a")) found += 1;
  assert.ok(found > 0 && found <= 10, `${found} kept`);
});
