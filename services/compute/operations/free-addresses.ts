import type { Tx } from "../../../kernel/store/store.ts";
import type { NetworkPublic } from "../../network/public.ts";
import { allocationsOf } from "../store/allocations.ts";
import { lockServer } from "../store/servers.ts";
import type { ComputeTables } from "../store/tables.ts";

type Ports = Pick<NetworkPublic, "releasePorts">;

/**
 * Gives up the ports of a server that is gone, or was never built, once no host may still run its guest: an address that
 * is given out again while a silent host runs the old guest is there twice. To be called after each change of either;
 * who comes last frees them.
 */
export async function freeAddresses(t: Tx, network: Ports, serverId: string): Promise<void> {
  // Two clean-ups that end at the same time: the second sees what the first has done.
  const server = await lockServer(t, serverId);
  const neverBuilt = server?.host === null && server.vm_state === "error";
  if (server && server.deleted_at === null && !neverBuilt) return;
  if ((await allocationsOf(t, serverId)).length === 0) await network.releasePorts(t, serverId);
}

/** Servers of which a host may hold something although they do not live there. */
export async function serversLeftOn(t: Tx, host: string): Promise<string[]> {
  const rows = await t
    .tables<ComputeTables>()
    .selectFrom("allocations")
    .innerJoin("servers", "servers.id", "allocations.server_id")
    .select("servers.id")
    .where("allocations.host", "=", host)
    .where((eb) => eb.or([eb("servers.host", "is", null), eb("deleted_at", "is not", null)]))
    .execute();
  return rows.map((row) => row.id);
}
