import type { Tx } from "../../../kernel/store/store.ts";
import { invalid, refused } from "../errors.ts";
import type { Revocation } from "../tokens/revocations.ts";
import { ancestorsOf, descendantsOf, findDomain, findProject } from "./projects.ts";
import type { IdentityTables, ProjectRow } from "./tables.ts";

/** Projects above each other, without the domain. */
const MAX_DEPTH = 5;

export interface NewProject {
  readonly id: string;
  readonly name: string;
  /** Null: a domain, which has no parent either. */
  readonly domainId: string | null;
  readonly parentId: string | null;
  readonly description: string;
  readonly enabled: boolean;
  readonly tags: readonly string[];
  readonly options: string;
  readonly extra: string;
}

export async function createProject(t: Tx, wanted: NewProject): Promise<ProjectRow> {
  await checkPlace(t, wanted);
  const row: ProjectRow = {
    id: wanted.id,
    name: wanted.name,
    name_key: wanted.name.toLowerCase(),
    domain_id: wanted.domainId,
    parent_id: wanted.parentId,
    description: wanted.description,
    enabled: wanted.enabled ? 1 : 0,
    is_domain: wanted.domainId === null ? 1 : 0,
    options: wanted.options,
    extra: wanted.extra,
  };
  await t.tables<IdentityTables>().insertInto("identity_projects").values(row).execute();
  await replaceTags(t, wanted.id, wanted.tags);
  return row;
}

async function checkPlace(t: Tx, wanted: NewProject): Promise<void> {
  if (wanted.domainId === null) {
    if (wanted.parentId !== null) throw invalid("A domain has neither domain_id nor parent_id.");
    return;
  }
  if (!(await findDomain(t, wanted.domainId))) throw invalid(`Could not find domain: ${wanted.domainId}.`);
  const parent = wanted.parentId === null ? undefined : await findProject(t, wanted.parentId);
  if (!parent) throw invalid(`Could not find project: ${wanted.parentId}.`);
  if ((parent.domain_id ?? parent.id) !== wanted.domainId) {
    throw invalid("The parent of a project must be in the project's domain.");
  }
  if (!parent.enabled) throw refused("Cannot create a project below a disabled one.");
  const above = [parent, ...(await ancestorsOf(t, parent))];
  if (above.length > MAX_DEPTH) throw refused(`Projects may be nested ${MAX_DEPTH} deep.`);
}

export interface ProjectChanges {
  readonly name?: string;
  readonly description?: string;
  readonly enabled?: boolean;
  readonly tags?: readonly string[];
  readonly options: string;
  readonly extra: string;
}

/** For projects and domains. */
export async function updateProject(
  t: Tx,
  revoked: Revocation[],
  row: ProjectRow,
  changes: ProjectChanges,
): Promise<void> {
  if (changes.enabled !== undefined && !row.is_domain) await checkEnabled(t, row, changes.enabled);
  await t
    .tables<IdentityTables>()
    .updateTable("identity_projects")
    .set({
      ...(changes.name === undefined ? {} : { name: changes.name, name_key: changes.name.toLowerCase() }),
      ...(changes.description === undefined ? {} : { description: changes.description }),
      ...(changes.enabled === undefined ? {} : { enabled: changes.enabled ? 1 : 0 }),
      options: changes.options,
      extra: changes.extra,
    })
    .where("id", "=", row.id)
    .execute();
  if (changes.tags !== undefined) await replaceTags(t, row.id, changes.tags);
  if (changes.enabled === false) revoked.push(...tokensScopedTo(row));
}

/** A disabled project has only disabled ones below it. */
async function checkEnabled(t: Tx, row: ProjectRow, enabled: boolean): Promise<void> {
  const relatives = enabled ? await ancestorsOf(t, row) : await descendantsOf(t, [row.id]);
  if (relatives.some((relative) => (relative.enabled === 1) !== enabled)) {
    throw refused(
      enabled
        ? "Cannot enable a project below a disabled one."
        : "Cannot disable a project that has enabled ones below it.",
    );
  }
}

/** Projects go only when nothing is below them; domains take everything along, but must be disabled first. */
export async function deleteProject(t: Tx, revoked: Revocation[], row: ProjectRow): Promise<void> {
  const db = t.tables<IdentityTables>();
  if (row.is_domain) {
    if (row.enabled) throw refused("Cannot delete a domain that is enabled: disable it first.");
  } else {
    const child = await db
      .selectFrom("identity_projects")
      .select("id")
      .where("parent_id", "=", row.id)
      .limit(1)
      .executeTakeFirst();
    if (child) throw refused("Cannot delete a project that has projects below it.");
    await db
      .updateTable("identity_users")
      .set({ default_project_id: null })
      .where("default_project_id", "=", row.id)
      .execute();
  }
  await db.deleteFrom("identity_projects").where("id", "=", row.id).execute();
  revoked.push(...tokensScopedTo(row));
}

export async function replaceTags(t: Tx, projectId: string, tags: readonly string[]): Promise<void> {
  const db = t.tables<IdentityTables>();
  await db.deleteFrom("identity_project_tags").where("project_id", "=", projectId).execute();
  if (tags.length === 0) return;
  await db
    .insertInto("identity_project_tags")
    .values(tags.map((name) => ({ project_id: projectId, name })))
    .execute();
}

/** A domain can be the scope of a token as a domain and as a project. */
function tokensScopedTo(row: ProjectRow): Revocation[] {
  const asProject: Revocation = { kind: "project", subject: row.id };
  return row.is_domain ? [asProject, { kind: "domain", subject: row.id }] : [asProject];
}
