import type { BackendFacts } from "../../../agent/protocol/block-storage.ts";
import { poolOf } from "../domain/backend-facts.ts";

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
