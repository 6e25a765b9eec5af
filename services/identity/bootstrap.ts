import type { IdSource } from "../../kernel/ids/ids.ts";
import type { Tx } from "../../kernel/store/store.ts";
import type { IdentityContext } from "./context.ts";
import { hashPassword } from "./login/password-hash.ts";
import { findProjectByName } from "./store/projects.ts";
import type { AssignmentTable, IdentityTables } from "./store/tables.ts";
import { findUserByName } from "./store/users.ts";

/** One row of the published catalog: a service whose address is that of the server plus `path`. */
export interface CatalogTemplate {
  /** `compute`; a service that goes by two types gives two rows with the same path. */
  readonly type: string;
  /** `nova` */
  readonly name: string;
  /** `/compute/v2.1`; may hold `%(project_id)s`. */
  readonly path: string;
  readonly description?: string;
}

export interface BootstrapSettings {
  /** The public address without trailing slash: `http://127.0.0.1:5000`. Endpoints made by earlier starts follow it. */
  readonly baseUrl: string;
  /** Passwords of users that do not exist yet; generated when absent. */
  readonly adminPassword?: string;
  readonly demoPassword?: string;
}

export interface BootstrapResult {
  readonly adminProjectId: string;
  readonly adminUserId: string;
  readonly demoProjectId: string;
  readonly demoUserId: string;
  /** Only when this call made the user: it cannot be had again. */
  readonly adminPassword: string | null;
  readonly demoPassword: string | null;
}

export const DEFAULT_DOMAIN = "default";
const ROLES = ["admin", "manager", "member", "reader", "service"] as const;
const IMPLICATIONS = [
  ["admin", "manager"],
  ["manager", "member"],
  ["member", "reader"],
] as const;

/** Makes what an installation contains, where it is missing. May run at every start and in several processes. */
export async function bootstrap(
  identity: IdentityContext,
  region: string,
  catalog: readonly CatalogTemplate[],
  settings: BootstrapSettings,
): Promise<BootstrapResult> {
  const { ids } = identity.kernel;
  const passwords = {
    admin: settings.adminPassword ?? ids.secret(),
    demo: settings.demoPassword ?? ids.secret(),
  };
  const hashes = {
    admin: await hashUnlessKnown(identity, "admin", passwords.admin),
    demo: await hashUnlessKnown(identity, "demo", passwords.demo),
  };
  return await identity.change(async (t) => {
    await ensureProject(t, { id: DEFAULT_DOMAIN, name: "Default", isDomain: true });
    const roles = await ensureRoles(t, ids);
    const adminProject = await ensureProject(t, { id: ids.hex(), name: "admin", isDomain: false });
    const demoProject = await ensureProject(t, { id: ids.hex(), name: "demo", isDomain: false });
    await ensureProject(t, { id: ids.hex(), name: "service", isDomain: false });
    const admin = await ensureUser(t, ids, { name: "admin", hash: hashes.admin, projectId: adminProject });
    const demo = await ensureUser(t, ids, { name: "demo", hash: hashes.demo, projectId: demoProject });
    if (admin.created) {
      await grant(t, admin.id, roles.admin, "project", adminProject);
      await grant(t, admin.id, roles.admin, "system", null);
    }
    if (demo.created) await grant(t, demo.id, roles.member, "project", demoProject);
    await publishCatalog(t, ids, { region, catalog, baseUrl: settings.baseUrl });
    return {
      adminProjectId: adminProject,
      adminUserId: admin.id,
      demoProjectId: demoProject,
      demoUserId: demo.id,
      adminPassword: admin.created ? passwords.admin : null,
      demoPassword: demo.created ? passwords.demo : null,
    };
  });
}

/** Hashing is slow, and it is needed at the first start only. */
async function hashUnlessKnown(identity: IdentityContext, name: string, password: string): Promise<string | null> {
  const { store, ids } = identity.kernel;
  const known = await findUserByName(store.read, DEFAULT_DOMAIN, name);
  return known ? null : await hashPassword(password, ids);
}

async function ensureProject(t: Tx, wanted: { id: string; name: string; isDomain: boolean }): Promise<string> {
  const domainId = wanted.isDomain ? null : DEFAULT_DOMAIN;
  const existing = await findProjectByName(t, domainId, wanted.name);
  if (existing) return existing.id;
  await t
    .tables<IdentityTables>()
    .insertInto("identity_projects")
    .values({
      id: wanted.id,
      name: wanted.name,
      name_key: wanted.name.toLowerCase(),
      domain_id: domainId,
      parent_id: domainId,
      description: "",
      enabled: 1,
      is_domain: wanted.isDomain ? 1 : 0,
      options: "{}",
      extra: "{}",
    })
    .onConflict((c) => c.doNothing())
    .execute();
  return wanted.id;
}

async function ensureRoles(t: Tx, ids: IdSource): Promise<Record<(typeof ROLES)[number], string>> {
  const db = t.tables<IdentityTables>();
  const rows = await db
    .selectFrom("identity_roles")
    .select(["id", "name_key"])
    .where("name_key", "in", [...ROLES])
    .where("domain_id", "is", null)
    .execute();
  const found = new Map(rows.map((row) => [row.name_key, row.id]));
  const entries: [string, string][] = [];
  const created = new Set<string>();
  for (const name of ROLES) {
    const id = found.get(name) ?? ids.hex();
    entries.push([name, id]);
    if (found.has(name)) continue;
    created.add(name);
    await db
      .insertInto("identity_roles")
      .values({
        id,
        name,
        name_key: name,
        domain_id: null,
        description: null,
        options: JSON.stringify({ immutable: true }),
        extra: "{}",
      })
      .execute();
  }
  const roles = Object.fromEntries(entries) as Record<(typeof ROLES)[number], string>;
  for (const [prior, implied] of IMPLICATIONS) {
    // Only for new roles: an operator may have taken an implication away.
    if (!created.has(prior) && !created.has(implied)) continue;
    await db
      .insertInto("identity_implied_roles")
      .values({ prior_role_id: roles[prior], implied_role_id: roles[implied] })
      .onConflict((c) => c.doNothing())
      .execute();
  }
  return roles;
}

async function ensureUser(
  t: Tx,
  ids: IdSource,
  wanted: { name: string; hash: string | null; projectId: string },
): Promise<{ id: string; created: boolean }> {
  const existing = await findUserByName(t, DEFAULT_DOMAIN, wanted.name);
  if (existing) return { id: existing.id, created: false };
  const id = ids.hex();
  await t
    .tables<IdentityTables>()
    .insertInto("identity_users")
    .values({
      id,
      name: wanted.name,
      name_key: wanted.name.toLowerCase(),
      domain_id: DEFAULT_DOMAIN,
      enabled: 1,
      default_project_id: wanted.projectId,
      password_hash: wanted.hash,
      password_expires_at: null,
      options: "{}",
      extra: "{}",
    })
    .execute();
  return { id, created: true };
}

async function grant(
  t: Tx,
  userId: string,
  roleId: string,
  scope: AssignmentTable["scope"],
  targetId: string | null,
): Promise<void> {
  await t
    .tables<IdentityTables>()
    .insertInto("identity_assignments")
    .values({ user_id: userId, group_id: null, scope, target_id: targetId, role_id: roleId, inherited: 0 })
    .execute();
}

/** Rows of the catalog that came from earlier starts move with the address; what operators added stays as it is. */
async function publishCatalog(
  t: Tx,
  ids: IdSource,
  wanted: { region: string; catalog: readonly CatalogTemplate[]; baseUrl: string },
): Promise<void> {
  const db = t.tables<IdentityTables>();
  await db
    .insertInto("identity_regions")
    .values({ id: wanted.region, description: "", parent_region_id: null, extra: "{}" })
    .onConflict((c) => c.doNothing())
    .execute();
  for (const { type, name, path, description } of wanted.catalog) {
    const service = await db
      .selectFrom("identity_services")
      .select("id")
      .where("type", "=", type)
      .where("name", "=", name)
      .executeTakeFirst();
    const serviceId = service?.id ?? ids.hex();
    if (!service) {
      await db
        .insertInto("identity_services")
        .values({ id: serviceId, type, name, description: description ?? null, enabled: 1, extra: "{}" })
        .execute();
    }
    await publishEndpoints(t, ids, { serviceId, region: wanted.region, url: wanted.baseUrl + path });
  }
}

async function publishEndpoints(
  t: Tx,
  ids: IdSource,
  wanted: { serviceId: string; region: string; url: string },
): Promise<void> {
  const db = t.tables<IdentityTables>();
  const existing = await db
    .selectFrom("identity_endpoints")
    .select("id")
    .where("service_id", "=", wanted.serviceId)
    .limit(1)
    .executeTakeFirst();
  if (existing) {
    await db
      .updateTable("identity_endpoints")
      .set({ url: wanted.url })
      .where("service_id", "=", wanted.serviceId)
      .where("seeded", "=", 1)
      .execute();
    return;
  }
  await db
    .insertInto("identity_endpoints")
    .values(
      (["public", "internal", "admin"] as const).map((kind) => ({
        id: ids.hex(),
        service_id: wanted.serviceId,
        interface: kind,
        url: wanted.url,
        region_id: wanted.region,
        enabled: 1,
        name: null,
        seeded: 1,
        extra: "{}",
      })),
    )
    .execute();
}
