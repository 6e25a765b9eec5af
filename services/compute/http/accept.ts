import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import type { Operation } from "../../../kernel/operations/definition.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import type { TaskState, VmState } from "../domain/server-state.ts";
import { isUnsettled } from "../operations/unsettled.ts";
import { recordAction } from "../store/instance-actions.ts";
import { transition } from "../store/servers.ts";
import type { ServerRow } from "../store/tables.ts";
import type { FaceDependencies } from "./dependencies.ts";

type Asking = Pick<ApiRequest<never, never>, "context" | "requestId">;

export interface Acceptance<Input> {
  /** Name in the list of instance actions; null where OpenStack records none. */
  readonly action: string | null;
  readonly operation: Operation<Input>;
  readonly input: Input;
}

/** Starts an operation on a server for this request, in the caller's transaction. Returns its id. */
export async function startFor<Input>(
  t: Tx,
  deps: FaceDependencies,
  request: Asking,
  server: ServerRow,
  { action, operation, input }: Acceptance<Input>,
): Promise<string> {
  const operationId = await deps.kernel.operations.start(t, operation, {
    input,
    resourceId: server.id,
    projectId: server.project_id,
    userId: request.context.userId,
    requestId: request.requestId,
  });
  if (action !== null) await recordFor(t, deps, request, server, { action, operationId });
  return operationId;
}

/** Records what the request asks of the server. */
export async function recordFor(
  t: Tx,
  deps: FaceDependencies,
  request: Asking,
  server: ServerRow,
  { action, operationId }: { action: string; operationId: string | null },
): Promise<void> {
  await recordAction(t, deps.kernel, {
    serverId: server.id,
    requestId: request.requestId,
    action,
    userId: request.context.userId,
    projectId: request.context.projectId ?? server.project_id,
    operationId,
  });
}

/** The state in which the request's checks saw the server; if it has changed since, they have to be made again. */
export function asSeen(server: ServerRow): { vm: readonly VmState[]; task: readonly (TaskState | null)[] } {
  return { vm: [server.vm_state], task: [server.task_state] };
}

/** After an abandoned operation nothing may begin before it is known where the guest is. Throws `compute.server_unsettled`, which `whenSettled` waits out. */
export async function mustBeSettled(t: Tx, server: ServerRow): Promise<void> {
  if (!(await isUnsettled(t, server.id))) return;
  throw new CloudError(
    "conflict",
    "compute.server_unsettled",
    `Instance ${server.id} is being looked for on its hosts after an interrupted operation; try again in a moment.`,
  );
}

/** In these the guest leaves its host, and takes its disks along. */
const LEAVING: readonly TaskState[] = ["migrating", "resize_prep"];

/**
 * A volume that moves or grows keeps its server where it is until that has ended; to be asked with the server locked. Throws
 * `compute.volume_changing`.
 */
export async function mustHaveStillVolumes(t: Tx, deps: FaceDependencies, server: ServerRow): Promise<void> {
  const volumeId = await deps.blockStorage.changingVolume(t, server.id);
  if (volumeId === undefined) return;
  throw new CloudError(
    "conflict",
    "compute.volume_changing",
    `Volume ${volumeId} of instance ${server.id} is being moved, extended or retyped; try again when that has ended.`,
  );
}

/** The form of most actions: one transaction that gives the server its task, if it is still as it was seen, and starts the operation. */
export async function accept<Input>(
  deps: FaceDependencies,
  request: Asking,
  server: ServerRow,
  options: Acceptance<Input> & { readonly task: TaskState; readonly name: string },
): Promise<string> {
  return await deps.kernel.store.tx(async (t) => {
    await mustBeSettled(t, server);
    await transition(t, {
      clock: deps.kernel.clock,
      id: server.id,
      from: asSeen(server),
      to: { task: options.task },
      action: options.name,
    });
    if (LEAVING.includes(options.task)) await mustHaveStillVolumes(t, deps, server);
    return await startFor(t, deps, request, server, options);
  });
}
