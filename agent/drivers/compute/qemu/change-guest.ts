import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import type { GuestFacts } from "../../../protocol/compute.ts";
import type { Guest } from "./guest.ts";
import type { Host } from "./host.ts";
import { settleUnattended } from "./migration-source.ts";

/**
 * A change of a guest that lives here, one at a time. Throws `compute.guest_not_found` for a guest that this host does not know,
 * `compute.guest_moved` for one that lives elsewhere.
 */
export async function changeGuest(
  host: Host,
  serverId: string,
  work: (guest: Guest) => Promise<unknown>,
): Promise<GuestFacts> {
  const guest = await host.knownGuest(serverId);
  return guest.exclusive(async () => {
    await settleUnattended(guest);
    if (guest.record.moved || guest.record.incoming !== null) {
      throw new CloudError("conflict", "compute.guest_moved", "The guest lives on another host.");
    }
    await work(guest);
    return guest.facts();
  });
}
