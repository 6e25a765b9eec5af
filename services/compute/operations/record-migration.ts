import type { Tx } from "../../../kernel/store/store.ts";
import type { ComputeDependencies } from "../dependencies.ts";
import type { MigrationStatus, MigrationType } from "../domain/migration-state.ts";
import { createMigration } from "../store/migration-records.ts";
import { flavorOf } from "../store/servers.ts";
import type { FlavorSnapshot, ServerRow } from "../store/tables.ts";
import { homeOf } from "./power.ts";

/** Writes down that the operation moves the server away from where it is. Returns that host and the record's number. */
export async function recordMigration(
  t: Tx,
  deps: ComputeDependencies,
  operation: { readonly id: string; readonly userId: string | null; readonly projectId: string | null },
  server: ServerRow,
  wanted: { type: MigrationType; status: MigrationStatus; newFlavor?: FlavorSnapshot },
): Promise<{ source: string; migration: number }> {
  const source = homeOf(server);
  const flavor = flavorOf(server);
  const migration = await createMigration(t, deps.kernel, {
    serverId: server.id,
    type: wanted.type,
    status: wanted.status,
    sourceHost: source,
    oldFlavorNumber: flavor.number,
    newFlavorNumber: (wanted.newFlavor ?? flavor).number,
    operationId: operation.id,
    userId: operation.userId ?? server.user_id,
    projectId: operation.projectId ?? server.project_id,
  });
  return { source, migration };
}
