import type { Queries } from "../../kernel/store/store.ts";
import { findProject } from "./store/projects.ts";
import { findUser } from "./store/users.ts";

export interface PublicProject {
  readonly id: string;
  readonly name: string;
  readonly domainId: string;
  readonly enabled: boolean;
}

export interface PublicUser {
  readonly id: string;
  readonly name: string;
  readonly domainId: string;
  readonly enabled: boolean;
}

/** The project when it exists, enabled or not. Domains are no projects here. `queries` may be a transaction. */
export async function projectById(queries: Queries, id: string): Promise<PublicProject | null> {
  const row = await findProject(queries, id);
  if (!row || row.domain_id === null) return null;
  return { id: row.id, name: row.name, domainId: row.domain_id, enabled: row.enabled === 1 };
}

/** The user when it exists, enabled or not. */
export async function userById(queries: Queries, id: string): Promise<PublicUser | null> {
  const row = await findUser(queries, id);
  return row ? { id: row.id, name: row.name, domainId: row.domain_id, enabled: row.enabled === 1 } : null;
}
