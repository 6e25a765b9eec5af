import type { BlockStorageDriver } from "../drivers/block-storage/driver.ts";
import type { StorageContext } from "./block-storage-environment.ts";

/** One thing that every block-storage driver does alike. */
export interface BlockStorageCase {
  readonly name: string;
  /** Skipped where the driver lacks it. */
  readonly ability?: keyof BlockStorageDriver & ("replication" | "migration" | "manageable" | "clustering");
  run(context: StorageContext): Promise<void>;
}
