import { isoMicros } from "../../../kernel/clock/clock.ts";
import { versionSteps } from "../../../kernel/http/version-steps.ts";
import type { ClusterFacts } from "../store/clusters.ts";
import { VOLUME_BINARY } from "../store/services.ts";

/** The newest shape of a cluster in lists. */
export function clusterSummary({ cluster, up }: ClusterFacts): Record<string, unknown> {
  return {
    name: cluster.name,
    binary: VOLUME_BINARY,
    state: up ? "up" : "down",
    status: cluster.disabled === 1 ? "disabled" : "enabled",
    replication_status: cluster.replication_status,
  };
}

/** The newest shape of a cluster by itself. Times that are not known are empty texts. */
export function clusterDetail(facts: ClusterFacts): Record<string, unknown> {
  const { cluster, hosts, downHosts, lastHeartbeat } = facts;
  return {
    ...clusterSummary(facts),
    num_hosts: hosts,
    num_down_hosts: downHosts,
    last_heartbeat: time(lastHeartbeat),
    created_at: time(cluster.created_at),
    updated_at: time(cluster.updated_at),
    disabled_reason: cluster.disabled_reason,
    frozen: cluster.frozen === 1,
    active_backend_id: cluster.active_backend_id,
  };
}

export const clusterVersions = versionSteps<Record<string, unknown>>([
  {
    since: "3.26",
    name: "replication of clusters",
    down(cluster) {
      delete cluster.replication_status;
      delete cluster.frozen;
      delete cluster.active_backend_id;
    },
  },
]);

function time(ms: number | null): string {
  return ms === null ? "" : isoMicros(ms);
}
