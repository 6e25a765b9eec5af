import type { ApiRequest } from "../../../kernel/http/request.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import { addressesOf } from "../store/addresses.ts";
import type { NetworkTables, PortRow } from "../store/tables.ts";
import { tagsOf } from "../store/tags.ts";
import { commonView } from "./attributes.ts";
import type { View } from "./resource.ts";

export const SEE_BINDING = "get_port:binding:host_id";

/** Three queries for a whole page. */
export async function portViews(q: Queries, rows: readonly PortRow[], request: ApiRequest): Promise<View[]> {
  const ids = rows.map((row) => row.id);
  const addresses = Map.groupBy(await addressesOf(q, ids), (row) => row.port_id);
  const groups = Map.groupBy(await groupLinks(q, ids), (link) => link.port_id);
  const tags = await tagsOf(q, ids);
  return rows.map((row) => ({
    id: row.id,
    name: row.name,
    description: row.description,
    network_id: row.network_id,
    mac_address: row.mac,
    admin_state_up: row.admin_state_up === 1,
    status: row.status,
    device_id: row.device_id,
    device_owner: row.device_owner,
    fixed_ips: (addresses.get(row.id) ?? []).map(({ subnet_id, address }) => ({ subnet_id, ip_address: address })),
    security_groups: (groups.get(row.id) ?? []).map((link) => link.security_group_id),
    "binding:vnic_type": "normal",
    ...(request.check(SEE_BINDING, { project_id: row.project_id }) ? bindingView(row) : {}),
    ...commonView(row, tags.get(row.id)),
  }));
}

function bindingView(row: PortRow) {
  return {
    "binding:host_id": row.host,
    "binding:profile": {},
    "binding:vif_type": row.host === "" ? "unbound" : "bridge",
    "binding:vif_details": {},
  };
}

async function groupLinks(q: Queries, ids: readonly string[]) {
  if (ids.length === 0) return [];
  return await q
    .tables<NetworkTables>()
    .selectFrom("port_security_groups")
    .selectAll()
    .where("port_id", "in", ids)
    .orderBy("security_group_id")
    .execute();
}
