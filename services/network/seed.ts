import type { Store } from "../../kernel/store/store.ts";
import { planSubnet } from "./domain/subnet-plan.ts";
import type { NetworkContext } from "./settings.ts";
import { createNetwork, createSubnet } from "./store/create-network.ts";
import type { NetworkRow, NetworkTables } from "./store/tables.ts";

export interface DefaultNetwork {
  /** Owner; every project may use it. */
  readonly projectId: string;
  readonly name?: string;
  readonly cidr?: string;
  readonly dnsNameservers?: readonly string[];
}

/** A shared network with one subnet, so that a new cloud's servers have something to be on. Kept when the project has it already. */
export async function ensureDefaultNetwork(
  store: Store,
  context: NetworkContext,
  wanted: DefaultNetwork,
): Promise<NetworkRow> {
  const name = wanted.name ?? "private";
  return await store.tx(async (t) => {
    const existing = await t
      .tables<NetworkTables>()
      .selectFrom("networks")
      .selectAll()
      .where("project_id", "=", wanted.projectId)
      .where("name", "=", name)
      .executeTakeFirst();
    if (existing) return existing;
    const network = await createNetwork(t, context, { projectId: wanted.projectId, name, shared: true });
    await createSubnet(t, context, {
      networkId: network.id,
      projectId: wanted.projectId,
      name: `${name}-subnet`,
      plan: planSubnet({
        cidr: wanted.cidr ?? "10.20.0.0/24",
        ...(wanted.dnsNameservers ? { dnsNameservers: wanted.dnsNameservers } : {}),
      }),
    });
    return network;
  });
}
