import { findServiceOn } from "../../../kernel/fleet/services.ts";
import type { Queries } from "../../../kernel/store/store.ts";

/** An operator has said with forced_down that the host is off. */
export async function isVouchedDead(q: Queries, host: string): Promise<boolean> {
  return (await findServiceOn(q, host, "nova-compute"))?.forced_down === 1;
}
