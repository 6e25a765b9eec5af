import { systemClock } from "../../../../../kernel/clock/clock.ts";
import { systemIds } from "../../../../../kernel/ids/ids.ts";
import { silentLogger } from "../../../../../kernel/log/logger.ts";
import type { Call } from "../../../../runtime/call.ts";

/** A call that nobody follows and that has no images; given up after `limitMs`. */
export function callWithin(limitMs: number): Call {
  return {
    key: systemIds.uuid(),
    epoch: 1,
    deadline: new Date(systemClock.now() + limitMs),
    signal: AbortSignal.timeout(limitMs),
    log: silentLogger,
    progress: () => {},
    image: () => Promise.reject(new Error("no images")),
  };
}
