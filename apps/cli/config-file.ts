import { LineCounter, parseDocument } from "yaml";
import { CloudError } from "../../kernel/errors/cloud-error.ts";
import { defaultFleetSettings, type FleetSettings } from "../../kernel/fleet/settings.ts";
import { type BlockStorageSettings, defaultBlockStorageSettings } from "../../services/block-storage/settings.ts";
import { type ComputeSettings, defaultComputeSettings } from "../../services/compute/settings.ts";
import { readableFile } from "./readable-file.ts";

/** How an option of the file becomes a setting: times are in seconds there, as in OpenStack's own files. */
interface Option<Settings> {
  readonly setting: keyof Settings;
  readonly unit: "seconds" | "plain";
}

const COMPUTE: Readonly<Record<string, Option<ComputeSettings>>> = {
  resize_confirm_window: { setting: "resizeConfirmWindowMs", unit: "seconds" },
  migrate_max_retries: { setting: "migrateMaxRetries", unit: "plain" },
  max_attempts: { setting: "schedulerMaxAttempts", unit: "plain" },
  max_concurrent_live_migrations: { setting: "maxConcurrentLiveMigrations", unit: "plain" },
  live_migration_completion_timeout: { setting: "liveMigrationCompletionTimeoutMs", unit: "seconds" },
  live_migration_timeout_action: { setting: "liveMigrationTimeoutAction", unit: "plain" },
  live_migration_permit_post_copy: { setting: "liveMigrationPermitPostCopy", unit: "plain" },
  live_migration_permit_auto_converge: { setting: "liveMigrationPermitAutoConverge", unit: "plain" },
  live_migration_bandwidth: { setting: "liveMigrationBandwidth", unit: "plain" },
  sync_power_state_interval: { setting: "syncPowerStateIntervalMs", unit: "seconds" },
  shutdown_timeout: { setting: "shutdownTimeoutMs", unit: "seconds" },
  cpu_allocation_ratio: { setting: "cpuAllocationRatio", unit: "plain" },
  ram_allocation_ratio: { setting: "ramAllocationRatio", unit: "plain" },
  disk_allocation_ratio: { setting: "diskAllocationRatio", unit: "plain" },
  max_limit: { setting: "maxLimit", unit: "plain" },
  default_availability_zone: { setting: "defaultAvailabilityZone", unit: "plain" },
};

const FLEET: Readonly<Record<string, Option<FleetSettings>>> = {
  service_down_time: { setting: "serviceDownTimeMs", unit: "seconds" },
  report_interval: { setting: "reportIntervalMs", unit: "seconds" },
};

const BLOCK_STORAGE: Readonly<Record<string, Option<BlockStorageSettings>>> = {
  enable_new_services: { setting: "enableNewServices", unit: "plain" },
  scheduler_max_attempts: { setting: "schedulerMaxAttempts", unit: "plain" },
  default_volume_type: { setting: "defaultVolumeType", unit: "plain" },
};

const SECTIONS = ["compute", "block_storage", "fleet"];

export interface FileSettings {
  readonly compute: ComputeSettings;
  readonly blockStorage: BlockStorageSettings;
  readonly fleet: FleetSettings;
}

/** Reads `--config`: YAML with the sections `compute`, `block_storage` and `fleet`. Throws `cli.config` naming what is wrong. */
export function readConfigFile(path: string | null): FileSettings {
  if (path === null) {
    const blockStorage = defaultBlockStorageSettings;
    return { compute: defaultComputeSettings, blockStorage, fleet: defaultFleetSettings };
  }
  const file = section(path, "", readYaml(path));
  for (const name of Object.keys(file))
    if (!SECTIONS.includes(name)) throw configError(path, `there is no section '${name}'`);
  const fleet = apply(path, FLEET, defaultFleetSettings, section(path, "fleet", file.fleet));
  return {
    compute: apply(path, COMPUTE, defaultComputeSettings, section(path, "compute", file.compute)),
    blockStorage: apply(
      path,
      BLOCK_STORAGE,
      defaultBlockStorageSettings,
      section(path, "block_storage", file.block_storage),
    ),
    // OpenStack's own rule: a service must be able to miss a beat.
    fleet:
      fleet.serviceDownTimeMs > fleet.reportIntervalMs
        ? fleet
        : { ...fleet, serviceDownTimeMs: 2.5 * fleet.reportIntervalMs },
  };
}

function apply<Settings extends object>(
  path: string,
  options: Readonly<Record<string, Option<Settings>>>,
  defaults: Settings,
  values: Readonly<Record<string, unknown>>,
): Settings {
  const settings = { ...defaults };
  for (const [name, value] of Object.entries(values)) {
    const option = options[name];
    if (!option) throw configError(path, `there is no option '${name}'; known are ${Object.keys(options).join(", ")}`);
    const standard = defaults[option.setting];
    if (typeof value !== typeof standard) throw configError(path, `'${name}' must be a ${typeof standard}`);
    const converted = option.unit === "seconds" ? Number(value) * 1000 : value;
    settings[option.setting] = converted as Settings[keyof Settings];
  }
  return settings;
}

function section(path: string, name: string, value: unknown): Record<string, unknown> {
  if (value === undefined || value === null) return {};
  if (typeof value === "object" && !Array.isArray(value)) return value as Record<string, unknown>;
  throw configError(path, name === "" ? "it must hold sections" : `'${name}' must hold options`);
}

function readYaml(path: string): unknown {
  const lines = new LineCounter();
  const document = parseDocument(readableFile("--config", path), { lineCounter: lines, prettyErrors: false });
  const problem = document.errors[0];
  if (problem) {
    const { line, col } = lines.linePos(problem.pos[0]);
    throw configError(path, `line ${line}, column ${col}: ${problem.message.replace(/\.$/, "")}`);
  }
  try {
    return document.toJS();
  } catch {
    throw configError(path, "it has an alias (*) without an anchor (&), or too many");
  }
}

function configError(path: string, problem: string): CloudError {
  return new CloudError("invalid", "cli.config", `Configuration file ${path}: ${problem}.`);
}
