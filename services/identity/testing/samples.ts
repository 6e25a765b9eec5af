import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const FOLDER = fileURLToPath(new URL("./fixtures/samples/", import.meta.url));

/** A published sample of the API. */
export function sample(name: string): unknown {
  return JSON.parse(readFileSync(`${FOLDER}${name}.json`, "utf8"));
}

/**
 * Fails unless `actual` has every key of the sample with a value of the same type, all the way down; of lists the first
 * element counts, and more keys are fine: many samples are older than the API. `stale`: keys that the API has no longer.
 */
export function hasShape(actual: unknown, expected: unknown, stale: readonly string[] = [], at = "body"): void {
  if (expected === null || actual === null) return;
  if (Array.isArray(expected)) {
    assert.ok(Array.isArray(actual), `${at} is no list`);
    if (expected.length === 0) return;
    assert.ok(actual.length > 0, `${at} is empty: nothing to compare`);
    hasShape(actual[0], expected[0], stale, `${at}[0]`);
    return;
  }
  assert.equal(typeof actual, typeof expected, at);
  if (typeof expected !== "object") return;
  for (const [key, value] of Object.entries(expected)) {
    if (stale.includes(key)) continue;
    assert.ok(Object.hasOwn(actual as object, key), `${at}.${key} is missing`);
    hasShape((actual as Record<string, unknown>)[key], value, stale, `${at}.${key}`);
  }
}
