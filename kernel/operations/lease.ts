import type { Tx } from "../store/store.ts";
import type { OperationTables } from "./tables.ts";

/** True while the lease of that epoch holds: the operation was neither fenced nor taken over nor ended. */
export async function holdsLease(t: Tx, operationId: string, epoch: number): Promise<boolean> {
  const row = await t
    .tables<OperationTables>()
    .selectFrom("operations")
    .select("id")
    .where("id", "=", operationId)
    .where("epoch", "=", epoch)
    .where("state", "=", "running")
    .executeTakeFirst();
  return row !== undefined;
}
