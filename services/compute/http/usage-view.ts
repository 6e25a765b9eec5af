import { isoMicros } from "../../../kernel/clock/clock.ts";
import type { UsagePeriod, UsedServer } from "../store/server-usage.ts";
import type { FlavorSnapshot } from "../store/tables.ts";

const HOUR_MS = 3_600_000;

/** What one server used within the period. */
export function serverUsage(server: UsedServer, period: UsagePeriod, now: number) {
  const flavor = JSON.parse(server.flavor) as FlavorSnapshot;
  const started = server.launched_at ?? period.end;
  const until = Math.min(server.deleted_at ?? period.end, period.end);
  return {
    instance_id: server.id,
    name: server.name,
    tenant_id: server.project_id,
    flavor: flavor.name,
    hours: Math.max(0, until - Math.max(started, period.start)) / HOUR_MS,
    memory_mb: flavor.ramMiB,
    local_gb: flavor.diskGiB + flavor.ephemeralGiB,
    vcpus: flavor.vcpus,
    started_at: isoMicros(started),
    ended_at: server.deleted_at === null ? null : isoMicros(server.deleted_at),
    state: server.deleted_at === null ? server.vm_state : "terminated",
    /** Seconds. */
    uptime: Math.floor(((server.deleted_at ?? now) - started) / 1000),
  };
}
export type ServerUsage = ReturnType<typeof serverUsage>;

/** The sums of one project. */
export function projectUsage(
  projectId: string,
  servers: readonly ServerUsage[],
  period: UsagePeriod,
  detailed: boolean,
): Record<string, unknown> {
  const sum = (of: (server: ServerUsage) => number) =>
    servers.reduce((total, server) => total + of(server) * server.hours, 0);
  return {
    tenant_id: projectId,
    start: isoMicros(period.start),
    stop: isoMicros(period.end),
    total_hours: sum(() => 1),
    total_memory_mb_usage: sum((server) => server.memory_mb),
    total_local_gb_usage: sum((server) => server.local_gb),
    total_vcpus_usage: sum((server) => server.vcpus),
    ...(detailed ? { server_usages: servers } : {}),
  };
}
