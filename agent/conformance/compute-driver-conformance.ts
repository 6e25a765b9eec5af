import assert from "node:assert/strict";
import { test } from "node:test";
import type { ComputeCase } from "./compute-case.ts";
import { CaseContext, type ComputeEnvironment } from "./compute-environment.ts";

export interface ComputeConformanceOptions {
  /** Name of the driver, shown with each test. */
  name: string;
  /** Those of one file or of several: `tests/arch` demands each of them of each driver. */
  cases: readonly ComputeCase[];
  /** Why no case can run on this machine. */
  unavailable?: string;
  /** A fresh environment; called once per case. */
  make(): Promise<ComputeEnvironment>;
  /** Cases that this driver cannot pass, each with its reason. */
  skip?: readonly { case: string; reason: string }[];
}

/**
 * Registers the tests that every compute driver passes, the simulated as well as the real. Each case gets an environment
 * of its own and must leave it as empty as it was: no process, disk, card or listener of any server.
 */
export function computeDriverConformance(options: ComputeConformanceOptions): void {
  const { cases } = options;
  const reasons = new Map((options.skip ?? []).map((entry) => [entry.case, entry.reason]));
  for (const name of reasons.keys()) {
    assert.ok(
      cases.some((each) => each.name === name),
      `there is no case "${name}" to skip`,
    );
  }
  for (const each of cases) {
    const reason = options.unavailable ?? reasons.get(each.name);
    test(`${options.name}: ${each.name}`, reason === undefined ? {} : { skip: reason }, async (t) => {
      const env = await options.make();
      try {
        const context = new CaseContext(env);
        const missing = await whyNot(each, context);
        if (missing !== undefined) {
          t.skip(missing);
          return;
        }
        await each.run(context);
        await context.cleanUp();
      } finally {
        await env.dispose();
      }
    });
  }
}

async function whyNot(each: ComputeCase, { a, b, volumes }: CaseContext): Promise<string | undefined> {
  if (each.ability !== undefined && !(each.ability in a.driver && a.driver[each.ability])) {
    return `the driver has no ${each.ability}`;
  }
  if (each.data && volumes.streams === null) return "volumes hold nothing";
  if (each.storage !== "shared") return undefined;
  const [mine, theirs] = [await a.driver.probe(), await b.driver.probe()];
  return mine.sharedStorage !== null && mine.sharedStorage === theirs.sharedStorage
    ? undefined
    : "the hosts share no storage";
}
