import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { MigrationStatus } from "./migration-state.ts";
import type { TaskState, VmState } from "./server-state.ts";

/** What the rules look at. */
export interface ServerFacts {
  readonly id: string;
  readonly vm_state: VmState;
  readonly task_state: TaskState | null;
  readonly launched_at: number | null;
  readonly host: string | null;
  readonly locked: number;
}

/** States in which an action may begin. An absent part is not looked at. */
export interface Gate {
  readonly vm?: readonly VmState[];
  readonly task?: readonly (TaskState | null)[];
  /** The server must have run once. */
  readonly launched?: boolean;
}

const IDLE: readonly (TaskState | null)[] = [null];

/** Gates of the compute contract, by action. */
export const GATES = {
  start: { vm: ["stopped"], task: IDLE, launched: true },
  stop: { vm: ["active", "error"], task: IDLE, launched: true },
  softReboot: { vm: ["active"], task: IDLE, launched: true },
  hardReboot: { vm: ["active", "stopped", "paused", "error"], task: IDLE, launched: true },
  pause: { vm: ["active"], task: IDLE, launched: true },
  unpause: { vm: ["paused"], task: IDLE, launched: true },
  resize: { vm: ["active", "stopped"], task: IDLE, launched: true },
  migrate: { vm: ["active", "stopped"], task: IDLE, launched: true },
  liveMigrate: { vm: ["active", "paused"], task: IDLE, launched: true },
  evacuate: { vm: ["active", "stopped", "error"], launched: true },
  confirmResize: { vm: ["resized"], task: IDLE },
  revertResize: { vm: ["resized"], task: IDLE },
  forceComplete: { vm: ["active"], task: ["migrating"], launched: true },
  abortLiveMigration: { task: ["migrating"], launched: true },
  interfaces: { vm: ["active", "paused", "stopped"], task: IDLE, launched: true },
  volumes: { vm: ["active", "paused", "stopped"], task: IDLE, launched: true },
  metadata: { vm: ["active", "paused", "stopped"], task: IDLE },
} as const satisfies Record<string, Gate>;

/** Throws the conflict that names the first state that does not fit: vm_state, task_state, then launched_at. */
export function mustPass(gate: Gate, server: ServerFacts, action: string): void {
  if (gate.vm && !gate.vm.includes(server.vm_state)) throw wrongState(server, action, "vm_state", server.vm_state);
  if (gate.task && !gate.task.includes(server.task_state)) {
    throw wrongState(server, action, "task_state", server.task_state ?? "None");
  }
  if (gate.launched && server.launched_at === null) throw wrongState(server, action, "launched_at", "None");
}

/** A lock stops everybody but administrators. */
export function mustBeUnlocked(server: ServerFacts, isAdmin: boolean): void {
  if (server.locked === 0 || isAdmin) return;
  throw new CloudError("conflict", "compute.server_locked", `Instance ${server.id} is locked`);
}

/** The server's host. Throws the conflict of servers that were never placed. */
export function hostOf(server: ServerFacts): string {
  if (server.host !== null) return server.host;
  throw new CloudError("conflict", "compute.server_not_placed", `Instance ${server.id} is not on any host.`);
}

/** Cold migrations and evacuations never go back to where the server is. */
export function mustLeaveHost(server: ServerFacts, target: string | null): void {
  if (target === null || target !== server.host) return;
  throw new CloudError(
    "invalid",
    "compute.same_host",
    `The target host ${target} can't be the same host as the one that instance ${server.id} is on.`,
  );
}

/** `force` means "this host, unchecked", so there has to be one. */
export function forceNeedsHost(force: boolean, host: string | null): void {
  if (!force || host !== null) return;
  throw new CloudError("invalid", "compute.force_without_host", "Can't force to a non-provided destination.");
}

const ABORTABLE: readonly MigrationStatus[] = ["running"];
const ABORTABLE_EARLY: readonly MigrationStatus[] = ["running", "queued", "preparing"];

/** `early`: migrations that still wait for their turn may be aborted too (from 2.65). */
export function mayAbort(status: MigrationStatus, early: boolean): boolean {
  return (early ? ABORTABLE_EARLY : ABORTABLE).includes(status);
}

function wrongState(server: ServerFacts, action: string, attribute: string, value: string): CloudError {
  return new CloudError(
    "conflict",
    "compute.server_state",
    `Cannot '${action}' instance ${server.id} while it is in ${attribute} ${value}`,
  );
}
