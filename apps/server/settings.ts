import type { FleetSettings } from "../../kernel/fleet/settings.ts";
import type { LogLevel } from "../../kernel/log/logger.ts";
import type { BlockStorageSettings } from "../../services/block-storage/settings.ts";
import type { ComputeSettings } from "../../services/compute/settings.ts";

/** Everything that one server process is told; made from flags and the configuration file by apps/cli. */
export interface ServerSettings {
  /** Database, images and credentials live here; one server at a time when the database does. */
  readonly stateDir: string;
  readonly listen: { readonly host: string; readonly port: number };
  /** Null: the embedded SQLite in `stateDir`. */
  readonly database: string | null;
  /** Address that clients are told, when it is not the one listened on. */
  readonly publicUrl: string | null;
  readonly trustForwarded: boolean;
  /** Paths of PEM files. */
  readonly tls: { readonly key: string; readonly cert: string } | null;
  readonly policyFile: string | null;
  readonly corsOrigins: readonly string[];
  readonly region: string;
  readonly tokenLifeMs: number;
  readonly logLevel: LogLevel;
  /** Where log lines go; standard error when absent. */
  readonly logFile?: string;
  readonly compute: ComputeSettings;
  readonly fleet: FleetSettings;
  /** Differences from the defaults. */
  readonly blockStorage?: Partial<BlockStorageSettings>;
  /** Password of a new cloud's admin; generated when null. */
  readonly adminPassword: string | null;
}
