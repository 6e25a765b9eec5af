import type { Tx } from "../../../kernel/store/store.ts";
import type { ComputeDependencies } from "../dependencies.ts";

type Ends = Pick<ComputeDependencies, "network" | "blockStorage">;

/** The server's ports and the attachments of its volumes say where it lives; `host` from now on. */
export async function moveEnds(t: Tx, { network, blockStorage }: Ends, serverId: string, host: string): Promise<void> {
  await network.bindPorts(t, serverId, host);
  await blockStorage.moveAttachments(t, serverId, host);
}
