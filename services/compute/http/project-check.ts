import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import { projectById } from "../../identity/public.ts";

/** Throws 400 when there is no such project, so that a misspelt id is not given rights or quotas silently. */
export async function mustBeProject(q: Queries, id: string): Promise<void> {
  if (await projectById(q, id)) return;
  throw new CloudError("invalid", "compute.project_not_found", `Project ID ${id} is not a valid project.`);
}
