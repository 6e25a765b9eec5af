import type { ApiRequest } from "../../../kernel/http/request.ts";
import { isUuidLike } from "../../../kernel/ids/ids.ts";
import type { PolicyTarget } from "../../../kernel/policy/credentials.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import { findServer, serverNotFound } from "../store/servers.ts";
import type { ServerRow } from "../store/tables.ts";

type Asking = Pick<ApiRequest<never, never>, "param" | "context">;

/** The server of the path's `id`. Throws 404 also for servers of other projects, unless an administrator asks. */
export async function serverOf(q: Queries, request: Asking): Promise<ServerRow> {
  return await visibleServer(q, request, request.param("id"));
}

export async function visibleServer(q: Queries, request: Pick<Asking, "context">, id: string): Promise<ServerRow> {
  const row = isUuidLike(id) ? await findServer(q, id) : undefined;
  if (!row || !mayKnow(request, row.project_id)) throw serverNotFound(id);
  return row;
}

export function mayKnow(request: Pick<Asking, "context">, projectId: string): boolean {
  return request.context.isAdmin || request.context.projectId === projectId;
}

/** What rules may compare with. */
export function targetOf(row: Pick<ServerRow, "project_id" | "user_id">): PolicyTarget {
  return { project_id: row.project_id, user_id: row.user_id };
}
