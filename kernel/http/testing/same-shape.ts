import assert from "node:assert/strict";

/** Fails unless both have the same keys with values of the same types, all the way down; of lists the first element counts. */
export function sameShape(actual: unknown, expected: unknown, at = "body"): void {
  if (expected === null || actual === null) return;
  if (Array.isArray(expected)) {
    assert.ok(Array.isArray(actual), `${at} is no list`);
    if (expected.length > 0 && actual.length > 0) sameShape(actual[0], expected[0], `${at}[0]`);
    return;
  }
  assert.equal(typeof actual, typeof expected, at);
  if (typeof expected !== "object") return;
  assert.deepEqual(Object.keys(actual as object).sort(), Object.keys(expected).sort(), `keys of ${at}`);
  for (const [key, value] of Object.entries(expected))
    sameShape((actual as Record<string, unknown>)[key], value, `${at}.${key}`);
}
