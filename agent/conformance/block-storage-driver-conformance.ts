import { test } from "node:test";
import type { BlockStorageCase } from "./block-storage-case.ts";
import { type BlockStorageEnvironment, StorageContext } from "./block-storage-environment.ts";

export interface BlockStorageConformanceOptions {
  /** Name of the driver, shown with each test. */
  name: string;
  cases: readonly BlockStorageCase[];
  /** A fresh environment; called once per case. */
  make(): Promise<BlockStorageEnvironment>;
}

/** Registers the tests that every block-storage driver passes. Each case must leave its environment as empty as it was. */
export function blockStorageDriverConformance(options: BlockStorageConformanceOptions): void {
  for (const each of options.cases) {
    test(`${options.name}: ${each.name}`, async (t) => {
      const env = await options.make();
      try {
        const context = new StorageContext(env);
        if (each.ability !== undefined && !env.a.driver[each.ability]) {
          t.skip(`the driver has no ${each.ability}`);
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
