import type { Clock } from "../../../kernel/clock/clock.ts";
import type { IdSource } from "../../../kernel/ids/ids.ts";
import type { OperationControl } from "../../../kernel/operations/control.ts";
import type { BlockStorageSettings } from "../settings.ts";
import type { Scope } from "../store/backends.ts";

/** Which backend an operation is about, and who acts for it: any living member of a cluster, else its one host. */
export interface ScopeTarget {
  /** `cluster@backend` or `node@backend`. */
  readonly scope: string;
  readonly backend: string;
  readonly to: { readonly cluster: string } | { readonly host: string };
}

export function scopeTarget(scope: Scope): ScopeTarget {
  const [member] = scope.members;
  const backend = member?.backend ?? "";
  const to = scope.cluster ? { cluster: scope.name } : { host: member?.node ?? "" };
  return { scope: scope.name, backend, to };
}

/** What operations on whole backends work with. */
export interface BackendTools {
  readonly kernel: { readonly clock: Clock; readonly ids: IdSource; readonly operations: OperationControl };
  readonly settings: BlockStorageSettings;
}
