import { ManualClock } from "../../clock/manual-clock.ts";
import { type IdSource, systemIds } from "../../ids/ids.ts";
import type { Store } from "../../store/store.ts";
import { WatchedStore } from "../../store/testing/watched-store.ts";
import { OperationControl } from "../control.ts";

/** What a world of tests is built on. */
export interface WorldTools {
  readonly store: WatchedStore;
  /** The runner's clock too. */
  readonly clock: ManualClock;
  readonly ids: IdSource;
  readonly control: OperationControl;
}

/** On this database, with a clock of its own. */
export function worldTools(store: Store): WorldTools {
  const clock = new ManualClock();
  return { store: new WatchedStore(store), clock, ids: systemIds, control: new OperationControl(clock, systemIds) };
}
