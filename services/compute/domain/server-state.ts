/** The server state model of OpenStack Compute: what is stored, and the one `status` that users see. */

export const VM_STATES = ["building", "active", "paused", "stopped", "resized", "error", "deleted"] as const;
export type VmState = (typeof VM_STATES)[number];

export const TASK_STATES = [
  "scheduling",
  "networking",
  "spawning",
  "resize_prep",
  "resize_migrating",
  "resize_migrated",
  "resize_finish",
  "resize_reverting",
  "migrating",
  "rebuilding",
  "rebuild_spawning",
  "powering-off",
  "powering-on",
  "pausing",
  "unpausing",
  "rebooting",
  "rebooting_hard",
  "deleting",
] as const;
export type TaskState = (typeof TASK_STATES)[number];

/** Numbers of the API: 0 none, 1 running, 3 paused, 4 shutdown, 6 crashed. */
export const POWER = { none: 0, running: 1, paused: 3, shutdown: 4, crashed: 6 } as const;
export type PowerState = (typeof POWER)[keyof typeof POWER];

/** Where a vm_state may go. `os-resetState` and deletion are always possible and stand apart. */
const NEXT: Readonly<Record<VmState, readonly VmState[]>> = {
  building: ["active", "error"],
  active: ["paused", "stopped", "resized", "error"],
  paused: ["active", "stopped", "error"],
  stopped: ["active", "resized", "error"],
  resized: ["active", "stopped", "error"],
  error: ["active", "stopped"],
  deleted: [],
};

export function vmStateMayBecome(from: VmState, to: VmState): boolean {
  return from === to || to === "deleted" || NEXT[from].includes(to);
}

const RESIZING: readonly (TaskState | null)[] = ["resize_prep", "resize_migrating", "resize_migrated", "resize_finish"];
const REBUILDING: readonly (TaskState | null)[] = ["rebuilding", "rebuild_spawning"];

/** An evacuation is under way: the guest may be started elsewhere at any moment. */
export function isMoving(task: TaskState | null): boolean {
  return REBUILDING.includes(task);
}

/** The public `status` (compute contract, server state model). */
export function statusOf(vm: VmState, task: TaskState | null): string {
  switch (vm) {
    case "active":
      if (task === "rebooting") return "REBOOT";
      if (task === "rebooting_hard") return "HARD_REBOOT";
      if (task === "migrating") return "MIGRATING";
      if (REBUILDING.includes(task)) return "REBUILD";
      return RESIZING.includes(task) ? "RESIZE" : "ACTIVE";
    case "stopped":
      if (REBUILDING.includes(task)) return "REBUILD";
      return RESIZING.includes(task) ? "RESIZE" : "SHUTOFF";
    case "resized":
      return task === "resize_reverting" ? "REVERT_RESIZE" : "VERIFY_RESIZE";
    case "paused":
      return task === "migrating" ? "MIGRATING" : "PAUSED";
    case "error":
      return REBUILDING.includes(task) ? "REBUILD" : "ERROR";
    case "building":
      return "BUILD";
    case "deleted":
      return "DELETED";
  }
}

export interface StatePair {
  readonly vm: VmState;
  readonly task: TaskState | null;
}

/** Every (vm_state, task_state) that shows as `status`, for list filters; undefined when no server can have it. Any case. */
export function pairsOfStatus(status: string): readonly StatePair[] | undefined {
  return PAIRS.get(status.toUpperCase());
}

const PAIRS: ReadonlyMap<string, readonly StatePair[]> = (() => {
  const pairs = new Map<string, StatePair[]>();
  for (const vm of VM_STATES) {
    for (const task of [null, ...TASK_STATES]) {
      const status = statusOf(vm, task);
      pairs.set(status, [...(pairs.get(status) ?? []), { vm, task }]);
    }
  }
  // Statuses of features that this cloud does not have: known to the API, so a filter on them is valid and matches nothing.
  for (const status of ["SUSPENDED", "RESCUE", "SHELVED", "SHELVED_OFFLOADED", "SOFT_DELETED", "PASSWORD", "UNKNOWN"])
    pairs.set(status, []);
  return pairs;
})();
