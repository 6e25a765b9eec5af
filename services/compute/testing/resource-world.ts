import { OTHER_PROJECT, PROJECT } from "../../../kernel/http/testing/people-api.ts";
import type { Migration } from "../../../kernel/store/migrate.ts";
import type { TestStore } from "../../../kernel/store/testing/stores.ts";
import { identityMigrations } from "../../identity/store/migrations.ts";
import type { IdentityTables } from "../../identity/store/tables.ts";
import { type ComputeWorld, computeWorld } from "./compute-world.ts";

/** A compute world whose projects exist in Identity: quotas and flavor access ask for them. */
export async function resourceWorld(
  open: (migrations: readonly Migration[]) => Promise<TestStore>,
): Promise<ComputeWorld> {
  const world = await computeWorld((migrations) => open([...migrations, ...identityMigrations]));
  const common = { description: "", enabled: 1, options: "{}", extra: "{}", parent_id: null };
  await world.store.tx(async (t) => {
    const projects = t.tables<IdentityTables>().insertInto("identity_projects");
    const domain = { ...common, id: "default", name: "Default", name_key: "default", domain_id: null, is_domain: 1 };
    await projects.values(domain).execute();
    for (const id of [PROJECT, OTHER_PROJECT])
      await projects.values({ ...common, id, name: id, name_key: id, domain_id: "default", is_domain: 0 }).execute();
  });
  return world;
}
