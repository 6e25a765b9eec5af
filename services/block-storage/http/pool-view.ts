import type { BackendFacts } from "../../../agent/protocol/block-storage.ts";
import { isoMicros } from "../../../kernel/clock/clock.ts";
import { poolOf } from "../domain/backend-facts.ts";
import type { Pool } from "../scheduler/pools.ts";

/** What clients and type extra specs may ask of a pool. */
export function poolCapabilities(pool: Pool): Record<string, unknown> {
  const { facts, backend } = pool;
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

/** `/capabilities/{host}` */
export function backendCapabilities(facts: BackendFacts): Record<string, unknown> {
  const property = (title: string, description: string) => ({ title, description, type: "boolean" });
  return {
    namespace: `OS::Storage::Capabilities::${facts.backend}`,
    vendor_name: facts.vendor,
    volume_backend_name: facts.backend,
    pool_name: poolOf(facts),
    driver_version: facts.driverVersion,
    storage_protocol: facts.protocol,
    display_name: `Capabilities of the ${facts.driver} driver`,
    description: `What a volume type may ask of backends with the ${facts.driver} driver.`,
    visibility: "public",
    replication_targets: facts.replicationTargets,
    properties: {
      thin_provisioning: property("Thin Provisioning", "Room is taken as it is written."),
      compression: property("Compression", "Enables compression."),
      qos: property("QoS", "Enables QoS."),
      replication: property("Replication", "Enables replication."),
    },
  };
}
