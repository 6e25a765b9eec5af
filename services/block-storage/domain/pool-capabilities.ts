import type { BackendFacts } from "../../../agent/protocol/block-storage.ts";
import { isoMicros } from "../../../kernel/clock/clock.ts";
import { poolOf } from "./backend-facts.ts";

interface ReportedPool {
  readonly facts: BackendFacts;
  /** Its row: when it was heard of last, epoch milliseconds. */
  readonly backend: { readonly updated_at: number };
}

/** What clients and type extra specs may ask of a pool. */
export function poolCapabilities({ facts, backend }: ReportedPool): Record<string, unknown> {
  return {
    volume_backend_name: facts.backend,
    pool_name: poolOf(facts),
    vendor_name: facts.vendor,
    driver_version: facts.driverVersion,
    storage_protocol: facts.protocol,
    total_capacity_gb: facts.totalGiB,
    free_capacity_gb: facts.freeGiB,
    allocated_capacity_gb: facts.provisionedGiB,
    provisioned_capacity_gb: facts.provisionedGiB,
    reserved_percentage: facts.reservedPercent,
    max_over_subscription_ratio: "1.0",
    thin_provisioning_support: facts.thinProvisioning,
    thick_provisioning_support: !facts.thinProvisioning,
    replication_enabled: facts.replicationEnabled,
    replication_targets: facts.replicationTargets,
    multiattach: false,
    QoS_support: false,
    online_extend_support: true,
    total_volumes: facts.volumes,
    backend_state: facts.backendState,
    timestamp: isoMicros(backend.updated_at),
    location_info: null,
    filter_function: null,
    goodness_function: null,
  };
}
