import type { Queries } from "../../../kernel/store/store.ts";
import { type CatalogSubject, fillUrl } from "../domain/catalog-url.ts";
import type { EndpointRow, IdentityTables } from "./tables.ts";

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
