import { type RawBuilder, sql } from "kysely";
import { Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import type { Route } from "../../../kernel/http/route.ts";
import { digits } from "../../../kernel/http/schemas.ts";
import type { Queries, Store, Tx } from "../../../kernel/store/store.ts";
import { invalidInput } from "../domain/faults.ts";
import type { NetworkContext } from "../settings.ts";
import { createNetwork, MAX_SEGMENT } from "../store/create-network.ts";
import { COMMON_FILTERS, COMMON_SORT, isAlways, isFlag, isNumber, type ListSource } from "../store/list.ts";
import { subnetsOfNetworks, type Viewer } from "../store/networks.ts";
import { changedNow } from "../store/revisions.ts";
import type { NetworkRow, NetworkTables } from "../store/tables.ts";
import { removeTags, tagsOf } from "../store/tags.ts";
import { changedFlag, commonView, Flag, flagValue, Text } from "./attributes.ts";
import { ownerFields, resourceRoutes, type View } from "./resource.ts";

export const AVAILABILITY_ZONE = "nova";
const SEE_PROVIDER = "get_network:provider:segmentation_id";

const common = {
  name: Type.Optional(Text),
  description: Type.Optional(Text),
  admin_state_up: Type.Optional(Flag),
  shared: Type.Optional(Flag),
  mtu: Type.Optional(digits(68, 8950)),
  /** There are no external networks, so only false is accepted. */
  "router:external": Type.Optional(Flag),
};

const CreateNetwork = Type.Object(
  {
    ...ownerFields,
    ...common,
    availability_zone_hints: Type.Optional(Type.Array(Type.Literal(AVAILABILITY_ZONE), { maxItems: 1 })),
    "provider:network_type": Type.Optional(Type.Literal("vxlan")),
    "provider:physical_network": Type.Optional(Type.Null()),
    "provider:segmentation_id": Type.Optional(digits(1, MAX_SEGMENT)),
  },
  { additionalProperties: false },
);

const UpdateNetwork = Type.Object(common, { additionalProperties: false });

export const networkSource: ListSource = {
  table: "networks",
  filters: {
    ...COMMON_FILTERS,
    admin_state_up: isFlag("admin_state_up"),
    shared: isFlag("shared"),
    mtu: isNumber("mtu"),
    status: isAlways("ACTIVE"),
    "router:external": isAlways("false"),
    "provider:network_type": isAlways("vxlan"),
    "provider:segmentation_id": isNumber("segment"),
  },
  sortable: { ...COMMON_SORT, admin_state_up: "admin_state_up", mtu: "mtu" },
};

/** Its own and shared networks. */
export function visibleNetworks(viewer: Viewer): RawBuilder<boolean> | undefined {
  return viewer.isAdmin ? undefined : sql<boolean>`(r.project_id = ${viewer.projectId ?? ""} OR r.shared = 1)`;
}

export function networkRoutes(store: Store, context: NetworkContext): Route[] {
  return resourceRoutes<NetworkRow, typeof CreateNetwork, typeof UpdateNetwork>(store, {
    singular: "network",
    plural: "networks",
    path: "/networks",
    source: networkSource,
    createBody: CreateNetwork,
    updateBody: UpdateNetwork,
    guarded: {
      create: [
        "shared",
        "router:external",
        "provider:network_type",
        "provider:physical_network",
        "provider:segmentation_id",
      ],
      update: ["shared", "router:external"],
    },
    viewRules: [SEE_PROVIDER],
    visible: visibleNetworks,
    target: async (_q, row) => ({ shared: Boolean(row.shared) }),
    views: networkViews,
    async create(t, body, projectId) {
      refuseExternal(body["router:external"]);
      const segment = body["provider:segmentation_id"];
      return await createNetwork(t, context, {
        projectId,
        name: body.name ?? "",
        description: body.description ?? "",
        adminStateUp: flagValue(body.admin_state_up ?? true) === 1,
        shared: flagValue(body.shared ?? false) === 1,
        ...(body.mtu === undefined ? {} : { mtu: Number(body.mtu) }),
        ...(segment === undefined ? {} : { segment: Number(segment) }),
      });
    },
    async update(t, row, body) {
      refuseExternal(body["router:external"]);
      const shared = changedFlag(body.shared, row.shared);
      if (row.shared === 1 && shared === 0) await refuseStrandedUsers(t, row);
      return await t
        .tables<NetworkTables>()
        .updateTable("networks")
        .set({
          name: body.name ?? row.name,
          description: body.description ?? row.description,
          admin_state_up: changedFlag(body.admin_state_up, row.admin_state_up),
          shared,
          mtu: Number(body.mtu ?? row.mtu),
          ...changedNow(context),
        })
        .where("id", "=", row.id)
        .returningAll()
        .executeTakeFirstOrThrow();
    },
    async remove(t, row) {
      const db = t.tables<NetworkTables>();
      for (const subnet of await subnetsOfNetworks(t, [row.id])) await removeTags(t, subnet.id);
      await removeTags(t, row.id);
      await db.deleteFrom("subnets").where("network_id", "=", row.id).execute();
      await db.deleteFrom("networks").where("id", "=", row.id).execute();
    },
    inUse: (row) =>
      new CloudError(
        "conflict",
        "network.network_in_use",
        `Unable to complete operation on network ${row.id}. There are one or more ports still in use on the network.`,
      ),
  });
}

async function networkViews(q: Queries, rows: readonly NetworkRow[], request: ApiRequest): Promise<View[]> {
  const ids = rows.map((row) => row.id);
  const subnets = await subnetsOfNetworks(q, ids);
  const tags = await tagsOf(q, ids);
  const zones = [AVAILABILITY_ZONE];
  return rows.map((row) => ({
    id: row.id,
    name: row.name,
    description: row.description,
    status: "ACTIVE",
    admin_state_up: row.admin_state_up === 1,
    shared: row.shared === 1,
    "router:external": false,
    mtu: row.mtu,
    subnets: subnets.filter((subnet) => subnet.network_id === row.id).map((subnet) => subnet.id),
    availability_zone_hints: [],
    availability_zones: zones,
    ...(request.check(SEE_PROVIDER, { project_id: row.project_id })
      ? {
          "provider:network_type": "vxlan",
          "provider:physical_network": null,
          "provider:segmentation_id": row.segment,
        }
      : {}),
    ...commonView(row, tags.get(row.id)),
  }));
}

function refuseExternal(external: boolean | number | string | undefined): void {
  if (external !== undefined && flagValue(external) === 1) throw invalidInput("external networks are not supported.");
}

/** A network that other projects have ports on stays shared. */
async function refuseStrandedUsers(t: Tx, row: NetworkRow): Promise<void> {
  const stranger = await t
    .tables<NetworkTables>()
    .selectFrom("ports")
    .select("id")
    .where("network_id", "=", row.id)
    .where("project_id", "!=", row.project_id)
    .limit(1)
    .executeTakeFirst();
  if (!stranger) return;
  throw new CloudError(
    "conflict",
    "network.invalid_shared_setting",
    `Unable to reconfigure sharing settings for network ${row.id}. Multiple tenants are using it.`,
  );
}
