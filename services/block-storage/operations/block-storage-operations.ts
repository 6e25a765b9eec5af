import type { AnyOperation, Operation } from "../../../kernel/operations/definition.ts";
import type { BlockStorageDependencies } from "../dependencies.ts";
import { type FailoverInput, failoverOperation } from "./failover.ts";
import { type TellFrozenInput, tellFrozenOperation } from "./tell-frozen.ts";

/** Every operation of the service, made once with what they work with. */
export interface BlockStorageOperations {
  readonly failover: Operation<FailoverInput>;
  readonly tellFrozen: Operation<TellFrozenInput>;
}

export function blockStorageOperations(deps: BlockStorageDependencies): BlockStorageOperations {
  return {
    failover: failoverOperation(deps),
    tellFrozen: tellFrozenOperation(deps),
  };
}

export function listOperations(operations: BlockStorageOperations): AnyOperation[] {
  return Object.values(operations);
}
