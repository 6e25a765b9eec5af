import { systemClock } from "../../../kernel/clock/clock.ts";
import { systemIds } from "../../../kernel/ids/ids.ts";
import { counterMigration } from "../../../kernel/store/counters.ts";
import type { Migration } from "../../../kernel/store/migrate.ts";
import type { Store } from "../../../kernel/store/store.ts";
import { planSubnet, type SubnetRequest } from "../domain/subnet-plan.ts";
import { DEFAULT_MTU, DEFAULT_QUOTAS, type NetworkContext } from "../settings.ts";
import { createNetwork, createSubnet, type NewNetwork } from "../store/create-network.ts";
import { type NetworkRow, networkMigrations, type SubnetRow } from "../store/tables.ts";

/** What a database needs before this service's tests can use it. */
export const worldMigrations: readonly Migration[] = [counterMigration, ...networkMigrations];

export const testContext: NetworkContext = {
  clock: systemClock,
  ids: systemIds,
  mtu: DEFAULT_MTU,
  quotas: DEFAULT_QUOTAS,
};

/** A network with the given subnets. */
export async function givenNetwork(
  store: Store,
  network: NewNetwork,
  ...subnets: SubnetRequest[]
): Promise<{ network: NetworkRow; subnets: SubnetRow[] }> {
  return await store.tx(async (t) => {
    const row = await createNetwork(t, testContext, network);
    const made: SubnetRow[] = [];
    for (const request of subnets) {
      const plan = planSubnet(request);
      made.push(
        await createSubnet(t, testContext, { networkId: row.id, projectId: network.projectId, name: "", plan }),
      );
    }
    return { network: row, subnets: made };
  });
}
