import type { BlockStorageDependencies } from "../dependencies.ts";
import type { LogControl } from "../log-control.ts";

/** What the API face works with. */
export interface FaceDependencies extends BlockStorageDependencies {
  readonly logs: LogControl;
}
