import type { ComputeFacts } from "../../../agent/protocol/compute.ts";
import type { FlavorRow, FlavorSnapshot, MigrationRow, ServerRow } from "../store/tables.ts";

/** Rows with everything in them; tests override what they are about. */

export const SIM_FACTS: ComputeFacts = {
  driver: "sim",
  hypervisorType: "fake",
  hypervisorVersion: 1000,
  vcpus: 8,
  ramMiB: 16_384,
  diskGiB: 200,
  cpuInfo: {
    arch: "x86_64",
    model: "sim",
    vendor: "Pileus",
    features: [],
    topology: { cores: 8, threads: 1, sockets: 1 },
  },
  migrationAddress: "127.0.0.1",
  sharedStorage: null,
  uptimeS: 93_784,
  abilities: [],
};

export const TINY: FlavorSnapshot = {
  number: 1,
  id: "1",
  name: "m1.tiny",
  vcpus: 1,
  ramMiB: 512,
  diskGiB: 1,
  ephemeralGiB: 0,
  swapMiB: 0,
  extraSpecs: {},
};

export function flavorRow(number: number, now: number): FlavorRow {
  return {
    number,
    id: String(number),
    name: `flavor-${number}`,
    vcpus: 1,
    ram_mib: 512,
    disk_gib: 1,
    ephemeral_gib: 0,
    swap_mib: 0,
    is_public: 1,
    disabled: 0,
    rxtx_factor: 1,
    description: null,
    extra_specs: "{}",
    created_at: now,
  };
}

export function serverRow(base: { id: string; number: number; project_id: string; now: number }): ServerRow {
  return {
    id: base.id,
    number: base.number,
    project_id: base.project_id,
    user_id: "user-member",
    name: `server-${base.number}`,
    description: null,
    hostname: `server-${base.number}`,
    vm_state: "active",
    task_state: null,
    power_state: 1,
    host: "host-1",
    flavor: JSON.stringify(TINY),
    image_id: "70a599e0-31e7-49b7-b260-868f441e862b",
    image_properties: "{}",
    storage: "local",
    requested_zone: null,
    zone: "nova",
    key_name: null,
    public_key: null,
    metadata: "{}",
    tags: "[]",
    scheduler_hints: "{}",
    security_groups: '["default"]',
    user_data: null,
    config_drive: 0,
    disk_config: "MANUAL",
    access_ipv4: null,
    access_ipv6: null,
    reservation_id: "r-00000001",
    launch_index: 0,
    locked: 0,
    locked_by_admin: 0,
    locked_reason: null,
    fault: null,
    created_at: base.now,
    updated_at: base.now,
    launched_at: base.now,
    deleted_at: null,
    revision: 0,
  };
}

export function migrationRow(base: { number: number; uuid: string; now: number }): Omit<MigrationRow, "server_id"> {
  return {
    number: base.number,
    uuid: base.uuid,
    type: "migration",
    status: "finished",
    source_host: "host-1",
    dest_host: "host-2",
    dest_address: "127.0.0.2",
    old_flavor_number: 1,
    new_flavor_number: 1,
    operation_id: "none",
    user_id: "user-admin",
    project_id: "11111111111111111111111111111111",
    created_at: base.now,
    updated_at: base.now,
  };
}
