import { defaultFleetSettings } from "../../../kernel/fleet/settings.ts";
import { defaultComputeSettings } from "../../../services/compute/settings.ts";
import type { ServerSettings } from "../settings.ts";

export const ADMIN_PASSWORD = "admin-password";

/** What tests tell a server: a port of its own, the embedded database, a known password; quiet. */
export function testSettings(stateDir: string, more: Partial<ServerSettings> = {}): ServerSettings {
  return {
    stateDir,
    listen: { host: "127.0.0.1", port: 0 },
    database: null,
    publicUrl: null,
    trustForwarded: false,
    tls: null,
    policyFile: null,
    corsOrigins: [],
    region: "RegionOne",
    tokenLifeMs: 3_600_000,
    logLevel: "error",
    compute: defaultComputeSettings,
    fleet: defaultFleetSettings,
    adminPassword: ADMIN_PASSWORD,
    ...more,
  };
}
