import type { StartOptions } from "../../../../kernel/operations/control.ts";
import type { Operation } from "../../../../kernel/operations/definition.ts";
import { faultMatrix } from "../../../../kernel/operations/testing/fault-matrix.ts";
import type { AtRest } from "../../../../kernel/operations/testing/fault-run.ts";
import type { ComputeSettings } from "../../settings.ts";
import type { ComputeOperations } from "../compute-operations.ts";
import { type Expected, expectCleanSlate } from "./clean-slate.ts";
import { OperationHarness, operationWorldMigrations } from "./operation-harness.ts";
import { OperationWorld } from "./operation-world.ts";

export type Slate = Omit<Expected, "serverId">;

/** A fault matrix of one operation on one server. */
export interface ServerMatrix<Input> {
  readonly name: string;
  readonly operation: (operations: ComputeOperations) => Operation<Input>;
  /** Makes the server; returns its id. */
  readonly server: (world: OperationWorld) => Promise<string>;
  /** How the API starts the operation on it. */
  readonly start: (world: OperationWorld, serverId: string) => Promise<StartOptions<Input>>;
  readonly drive?: (world: OperationWorld, serverId: string, operation: AtRest) => Promise<boolean>;
  readonly done: Slate | ((world: OperationWorld, serverId: string) => Slate);
  readonly undone: Slate | ((world: OperationWorld, serverId: string) => Slate);
  readonly settings?: Partial<ComputeSettings>;
}

export function serverMatrix<Input>(matrix: ServerMatrix<Input>): void {
  const harness = new OperationHarness(matrix.settings);
  const definition = matrix.operation(harness.operations);
  let serverId = "";
  const { drive } = matrix;
  faultMatrix(definition, {
    name: matrix.name,
    migrations: operationWorldMigrations,
    world: (tools) => OperationWorld.open(harness, tools, definition),
    given: async (world) => {
      serverId = await matrix.server(world);
      return await matrix.start(world, serverId);
    },
    ...(drive ? { drive: (world: OperationWorld, operation: AtRest) => drive(world, serverId, operation) } : {}),
    afterSuccess: (world) => {
      const done = typeof matrix.done === "function" ? matrix.done(world, serverId) : matrix.done;
      return expectCleanSlate(world, { serverId, ...done });
    },
    afterUnwind: (world) => {
      const undone = typeof matrix.undone === "function" ? matrix.undone(world, serverId) : matrix.undone;
      return expectCleanSlate(world, { serverId, ...undone });
    },
  });
}
