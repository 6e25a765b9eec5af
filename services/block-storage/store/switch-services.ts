import type { Clock } from "../../../kernel/clock/clock.ts";
import type { ServicePatch } from "../../../kernel/fleet/services.ts";
import type { FleetTables } from "../../../kernel/fleet/tables.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import type { Scope } from "./backends.ts";
import { VOLUME_BINARY } from "./services.ts";
import type { BlockStorageTables } from "./tables.ts";

/** Writes the flags of all services of a locked scope, and of a cluster its own. */
export async function switchServices(t: Tx, clock: Clock, scope: Scope, patch: ServicePatch): Promise<void> {
  if (Object.keys(patch).length === 0 || scope.members.length === 0) return;
  const hosts = scope.members.map((member) => member.host);
  await switchRecords(t, clock, hosts, patch);
  if (!scope.cluster) return;
  const { disabled, disabled_reason } = patch;
  await t
    .tables<BlockStorageTables>()
    .updateTable("volume_clusters")
    .set({
      ...(disabled === undefined ? {} : { disabled }),
      ...(disabled_reason === undefined ? {} : { disabled_reason }),
      updated_at: clock.now(),
    })
    .where("name", "=", scope.name)
    .execute();
}

/** The service shows that its backend is frozen. */
export async function freezeService(t: Tx, clock: Clock, host: string): Promise<void> {
  await switchRecords(t, clock, [host], { disabled: 1, disabled_reason: FROZEN });
}

/** After a thaw: the named service is enabled whatever disabled it; its cluster and the other members where the freeze did. */
export async function thawServices(t: Tx, clock: Clock, scope: Scope, named: string): Promise<void> {
  const patch = { disabled: 0, disabled_reason: "" };
  await switchRecords(t, clock, [named], patch);
  // A failback of a frozen cluster has disabled it as a whole.
  await t
    .tables<BlockStorageTables>()
    .updateTable("volume_clusters")
    .set({ ...patch, updated_at: clock.now() })
    .where("name", "=", scope.name)
    .where("disabled_reason", "=", FROZEN)
    .execute();
  await t
    .tables<FleetTables>()
    .updateTable("services")
    .set({ ...patch, modified_at: clock.now() })
    .where("binary_name", "=", VOLUME_BINARY)
    .where("cluster", "=", scope.name)
    .where("disabled_reason", "=", FROZEN)
    .execute();
}

/** The reason that a freeze gives for disabling a service. */
export const FROZEN = "frozen";

async function switchRecords(t: Tx, clock: Clock, hosts: readonly string[], patch: ServicePatch): Promise<void> {
  await t
    .tables<FleetTables>()
    .updateTable("services")
    .set({ ...patch, modified_at: clock.now() })
    .where("binary_name", "=", VOLUME_BINARY)
    .where("host", "in", hosts)
    .execute();
}
