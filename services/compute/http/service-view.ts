import { isoMicros } from "../../../kernel/clock/clock.ts";
import type { Moment } from "../../../kernel/clock/moment.ts";
import { isUpAt } from "../../../kernel/fleet/services.ts";
import type { FleetSettings } from "../../../kernel/fleet/settings.ts";
import type { ServiceRow } from "../../../kernel/fleet/tables.ts";
import { versionSteps } from "../../../kernel/http/version-steps.ts";

/** APIs have no record here, and other services' processes are none of Compute's. */
const HIDDEN = ["nova-api", "nova-osapi_compute", "nova-metadata"];

export const COMPUTE = "nova-compute";
const INTERNAL_ZONE = "internal";

export function isListed(row: ServiceRow): boolean {
  return row.binary_name.startsWith("nova-") && !HIDDEN.includes(row.binary_name);
}

/** The host's availability zone for nova-compute, `internal` for all others. */
export function zoneOf(row: ServiceRow, zones: ReadonlyMap<string, string>): string {
  return row.binary_name === COMPUTE ? (zones.get(row.host) ?? row.zone) : INTERNAL_ZONE;
}

/** The last heartbeat or change by an operator. */
export function updatedAt(row: ServiceRow): string | null {
  const last = Math.max(row.last_seen ?? 0, row.modified_at ?? 0);
  return last === 0 ? null : isoMicros(last);
}

export function stateOf(row: ServiceRow, moment: Moment, fleet: FleetSettings): "up" | "down" {
  return isUpAt(row, moment, fleet) ? "up" : "down";
}

export function statusOf(row: ServiceRow): "enabled" | "disabled" {
  return row.disabled === 1 ? "disabled" : "enabled";
}

export interface ServiceAnswer {
  readonly row: ServiceRow;
  readonly service: Record<string, unknown>;
}

/** The newest shape of a service record. */
export function serviceAnswer(row: ServiceRow, zone: string, state: "up" | "down"): ServiceAnswer {
  const service = {
    id: row.uuid,
    binary: row.binary_name,
    host: row.host,
    zone,
    status: statusOf(row),
    state,
    updated_at: updatedAt(row),
    disabled_reason: row.disabled_reason,
    forced_down: row.forced_down === 1,
  };
  return { row, service };
}

/** Each microversion that changed how a service looks. */
export const serviceVersions = versionSteps<ServiceAnswer>([
  {
    since: "2.11",
    name: "forced_down",
    down({ service }) {
      delete service.forced_down;
    },
  },
  {
    since: "2.53",
    name: "uuid as the id",
    down({ service, row }) {
      service.id = row.number;
    },
  },
]);
