import type { Operation } from "../../../kernel/operations/definition.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import type { ConsoleBroker } from "../consoles/broker.ts";
import type { ComputeDependencies } from "../dependencies.ts";
import type { FlavorSnapshot, ServerRow } from "../store/tables.ts";

/** What the API faces work with. */
export interface FaceDependencies extends ComputeDependencies {
  readonly operations: ComputeOperations;
  readonly consoles: ConsoleBroker;
  /** Starts what tidies the hosts after a server's operations were abandoned; in the caller's transaction. */
  cleanupAfterAbandon(t: Tx, server: ServerRow): Promise<void>;
}

/** The operations that requests start. */
export interface ComputeOperations {
  readonly create: Operation<CreateInput>;
  readonly delete: Operation<{ readonly serverId: string }>;
  readonly power: Readonly<Record<PowerAction, Operation<PowerInput>>>;
  /** Resize and cold migration; then waits for the signal `confirm` or `revert` with `{requestId}`. */
  readonly resize: Operation<ResizeInput>;
  /** Takes the signals `abort` and `force_complete` with `{requestId}`. */
  readonly liveMigrate: Operation<LiveMigrateInput>;
  readonly evacuate: Operation<EvacuateInput>;
  readonly injectNetworkInfo: Operation<{ readonly serverId: string }>;
  readonly resetNetwork: Operation<{ readonly serverId: string }>;
  /** Gives the running guest exactly the cards of the server's ports. */
  readonly syncInterfaces: Operation<{ readonly serverId: string }>;
}

/** The server's row and its ports exist; the ports are not bound to a host yet. */
export interface CreateInput {
  readonly serverId: string;
  /** The one host wanted by an administrator. */
  readonly host: string | null;
  /** Takes `host` without asking the scheduler. */
  readonly force: boolean;
}

export type PowerAction = "start" | "stop" | "reboot" | "pause" | "unpause";

export interface PowerInput {
  readonly serverId: string;
  /** For `reboot`. */
  readonly rebootType: "soft" | "hard" | null;
}

export interface ResizeInput {
  readonly serverId: string;
  readonly kind: "migration" | "resize";
  /** The new flavor; the same as before for a migration. */
  readonly flavor: FlavorSnapshot;
  readonly host: string | null;
  readonly wasRunning: boolean;
}

export interface LiveMigrateInput {
  readonly serverId: string;
  readonly host: string | null;
  readonly blockMigration: boolean | "auto";
  readonly diskOverCommit: boolean;
  readonly force: boolean;
}

export interface EvacuateInput {
  readonly serverId: string;
  readonly host: string | null;
  readonly force: boolean;
  /** The server ends stopped, whatever it was. */
  readonly stopAfter: boolean;
}
