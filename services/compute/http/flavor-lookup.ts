import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import { findFlavor, mayUseFlavor } from "../store/flavors.ts";
import type { FlavorRow } from "../store/tables.ts";

/** The flavor of the path's `id`. Throws 404 also for flavors that the project may not use, unless an administrator asks. */
export async function flavorOf(
  q: Queries,
  request: Pick<ApiRequest<never, never>, "param" | "context">,
): Promise<FlavorRow> {
  const id = request.param("id");
  const row = await findFlavor(q, id);
  const { isAdmin, projectId } = request.context;
  if (row && (isAdmin || (await mayUseFlavor(q, row, projectId)))) return row;
  throw new CloudError("notFound", "compute.flavor_not_found", `Flavor ${id} could not be found.`);
}
