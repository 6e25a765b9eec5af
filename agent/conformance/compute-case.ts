import type { ComputeDriver } from "../drivers/compute/driver.ts";
import type { DiskStorage } from "../protocol/compute.ts";
import type { CaseContext } from "./compute-environment.ts";

/** One thing that every compute driver does alike. */
export interface ComputeCase {
  readonly name: string;
  /** Skipped where the driver lacks it. */
  readonly ability?: keyof ComputeDriver & ("networking" | "volumes" | "coldMigration" | "liveMigration" | "fencing");
  /** Needs volumes that hold what guests write to them. */
  readonly data?: boolean;
  /** `shared` is skipped where the hosts share none. */
  readonly storage?: DiskStorage;
  run(context: CaseContext): Promise<void>;
}
