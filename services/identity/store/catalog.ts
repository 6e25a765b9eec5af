import type { Queries } from "../../../kernel/store/store.ts";
import { type CatalogSubject, fillUrl } from "../domain/catalog-url.ts";
import type { EndpointRow, IdentityTables, RegionRow, ServiceRow } from "./tables.ts";

export interface CatalogEntry {
  readonly id: string;
  readonly type: string;
  readonly name: string;
  readonly endpoints: readonly CatalogEndpoint[];
}

export interface CatalogEndpoint {
  readonly id: string;
  readonly interface: string;
  readonly region: string | null;
  readonly region_id: string | null;
  readonly url: string;
}

/** The catalog as one token sees it; endpoints that need a project it does not have are left out. */
export async function catalogFor(queries: Queries, subject: CatalogSubject): Promise<CatalogEntry[]> {
  const db = queries.tables<IdentityTables>();
  const services = await db
    .selectFrom("identity_services")
    .select(["id", "type", "name"])
    .where("enabled", "=", 1)
    .orderBy("type")
    .orderBy("id")
    .execute();
  const endpoints = await db
    .selectFrom("identity_endpoints")
    .selectAll()
    .where("enabled", "=", 1)
    .orderBy("id")
    .execute();
  const byService = Map.groupBy(endpoints, (endpoint) => endpoint.service_id);
  return services.map((service) => ({
    id: service.id,
    type: service.type,
    name: service.name ?? "",
    endpoints: (byService.get(service.id) ?? []).flatMap((endpoint) => entryOf(endpoint, subject)),
  }));
}

function entryOf(endpoint: EndpointRow, subject: CatalogSubject): CatalogEndpoint[] {
  const url = fillUrl(endpoint.url, subject);
  if (url === null) return [];
  const { id, region_id } = endpoint;
  return [{ id, interface: endpoint.interface, region: region_id, region_id, url }];
}

export function findService(queries: Queries, id: string): Promise<ServiceRow | undefined> {
  return queries
    .tables<IdentityTables>()
    .selectFrom("identity_services")
    .selectAll()
    .where("id", "=", id)
    .executeTakeFirst();
}

export function findEndpoint(queries: Queries, id: string): Promise<EndpointRow | undefined> {
  return queries
    .tables<IdentityTables>()
    .selectFrom("identity_endpoints")
    .selectAll()
    .where("id", "=", id)
    .executeTakeFirst();
}

export function findRegion(queries: Queries, id: string): Promise<RegionRow | undefined> {
  return queries
    .tables<IdentityTables>()
    .selectFrom("identity_regions")
    .selectAll()
    .where("id", "=", id)
    .executeTakeFirst();
}

/** A region and everything below it. */
export async function regionsBelow(queries: Queries, id: string): Promise<string[]> {
  const found = [id];
  let level = [id];
  while (level.length > 0) {
    const rows = await queries
      .tables<IdentityTables>()
      .selectFrom("identity_regions")
      .select("id")
      .where("parent_region_id", "in", level)
      .execute();
    level = rows.map((row) => row.id);
    found.push(...level);
  }
  return found;
}
