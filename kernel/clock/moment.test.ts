import assert from "node:assert/strict";
import { test } from "node:test";
import { Moment } from "./moment.ts";

test("a moment of which nothing was asked holds for ever", () => {
  const moment = new Moment(100);
  assert.deepEqual([moment.holdsAt(0), moment.holdsAt(1e15)], [true, true]);
});

test("a moment holds between the last time that was past and the first that was not", () => {
  const moment = new Moment(100);
  assert.deepEqual(
    [50, 99, 100, 150].map((time) => moment.isPast(time)),
    [true, true, false, false],
  );
  assert.deepEqual(
    [99, 100, 101].map((time) => moment.holdsAt(time)),
    [false, true, false],
  );
});
