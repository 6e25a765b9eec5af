/** What an agent says of a backend, kept fresh by its reports. Sizes in GiB. */
export interface BackendFacts {
  readonly driver: string;
  /** Whether the array behind the backend serves; the agent that says so may live while it does not. */
  readonly backendState: "up" | "down";
  readonly replicationEnabled: boolean;
  /** Ids of the targets that it may fail over to. */
  readonly replicationTargets: readonly string[];
  /** Null: the primary. */
  readonly activeBackendId: string | null;
  readonly pools: readonly PoolFacts[];
}

export interface PoolFacts {
  readonly name: string;
  readonly totalGiB: number;
  /** What is neither provisioned nor reserved. */
  readonly freeGiB: number;
  readonly provisionedGiB: number;
  readonly reservedPercent: number;
}

export function factsOf(row: { readonly facts: string }): BackendFacts {
  return JSON.parse(row.facts) as BackendFacts;
}
