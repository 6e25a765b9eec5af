import type { Queries } from "../../../kernel/store/store.ts";
import type { NetworkRow, NetworkTables, SubnetRow } from "./tables.ts";

/** Whose resources are looked for; administrators see all. */
export interface Viewer {
  readonly projectId: string | null;
  readonly isAdmin: boolean;
}

export async function findNetwork(q: Queries, id: string): Promise<NetworkRow | undefined> {
  return await q.tables<NetworkTables>().selectFrom("networks").selectAll().where("id", "=", id).executeTakeFirst();
}

/** Its own or shared, or any for administrators. */
export function maySeeNetwork(network: NetworkRow, viewer: Viewer): boolean {
  return viewer.isAdmin || network.shared === 1 || network.project_id === viewer.projectId;
}

/** Networks that a project may use without naming one: its own and shared ones. At most two are read. */
export async function usableNetworks(q: Queries, projectId: string): Promise<NetworkRow[]> {
  return await q
    .tables<NetworkTables>()
    .selectFrom("networks")
    .selectAll()
    .where((eb) => eb.or([eb("project_id", "=", projectId), eb("shared", "=", 1)]))
    .limit(2)
    .execute();
}

/** In the order of creation. */
export async function subnetsOfNetworks(q: Queries, networkIds: readonly string[]): Promise<SubnetRow[]> {
  if (networkIds.length === 0) return [];
  return await q
    .tables<NetworkTables>()
    .selectFrom("subnets")
    .selectAll()
    .where("network_id", "in", networkIds)
    .orderBy("created_at")
    .orderBy("id")
    .execute();
}
