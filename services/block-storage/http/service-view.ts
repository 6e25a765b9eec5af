import { isoMicros } from "../../../kernel/clock/clock.ts";
import type { Moment } from "../../../kernel/clock/moment.ts";
import { isUpAt } from "../../../kernel/fleet/services.ts";
import type { ServiceRow } from "../../../kernel/fleet/tables.ts";
import { versionSteps } from "../../../kernel/http/version-steps.ts";
import type { BlockStorageDependencies } from "../dependencies.ts";
import { factsOf } from "../domain/backend-facts.ts";
import { isSchedulable } from "../scheduler/pools.ts";
import { VOLUME_BINARY, type VolumeService } from "../store/services.ts";

type Judging = Pick<BlockStorageDependencies, "fleet" | "settings">;

export function stateOf(row: ServiceRow, moment: Moment, { fleet }: Pick<Judging, "fleet">): "up" | "down" {
  return isUpAt(row, moment, fleet) ? "up" : "down";
}

/** The last heartbeat or change by an operator. */
export function updatedAt(row: ServiceRow): string | null {
  const last = Math.max(row.last_seen ?? 0, row.modified_at ?? 0);
  return last === 0 ? null : isoMicros(last);
}

/** The zone of a backend. The server's own processes are in the default zone, as their configuration would say in OpenStack. */
export function zoneOf(row: ServiceRow, { settings }: Pick<Judging, "settings">): string {
  return row.binary_name === VOLUME_BINARY ? row.zone : settings.storageAvailabilityZone;
}

/** The newest shape. */
export function serviceView(service: VolumeService, moment: Moment, deps: Judging): Record<string, unknown> {
  const { record, backend } = service;
  const view: Record<string, unknown> = {
    binary: record.binary_name,
    host: record.host,
    zone: zoneOf(record, deps),
    status: record.disabled === 1 ? "disabled" : "enabled",
    state: stateOf(record, moment, deps),
    updated_at: updatedAt(record),
    disabled_reason: record.disabled_reason,
    cluster: record.cluster,
  };
  if (record.binary_name !== VOLUME_BINARY) return view;
  return {
    ...view,
    replication_status: backend?.replication_status ?? "not-capable",
    active_backend_id: backend?.active_backend_id ?? null,
    frozen: backend?.frozen === 1,
    backend_state: backend && isSchedulable(service, moment, deps.fleet) ? factsOf(backend).backendState : null,
  };
}

/** Each microversion that changed how a service looks. */
export const serviceVersions = versionSteps<Record<string, unknown>>([
  {
    since: "3.7",
    name: "cluster",
    down(service) {
      delete service.cluster;
    },
  },
  {
    since: "3.49",
    name: "backend_state",
    down(service) {
      delete service.backend_state;
    },
  },
]);
