import { Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { byVersion, type Route, route } from "../../../kernel/http/route.ts";
import { QueryBoolean } from "../../../kernel/http/schemas.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import { lockScope } from "../store/backends.ts";
import { type ClusterFacts, listClusters } from "../store/clusters.ts";
import { VOLUME_BINARY } from "../store/services.ts";
import type { BlockStorageTables } from "../store/tables.ts";
import { clusterDetail, clusterSummary, clusterVersions } from "./cluster-view.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { TextOrNull } from "./schemas.ts";

const text = Type.Optional(Type.String());
const filters = {
  name: text,
  binary: text,
  is_up: Type.Optional(QueryBoolean),
  disabled: Type.Optional(QueryBoolean),
  num_hosts: Type.Optional(Type.Integer()),
  num_down_hosts: Type.Optional(Type.Integer()),
};
const Filters = Type.Object(filters);
const FiltersOfReplication = Type.Object({
  ...filters,
  replication_status: text,
  active_backend_id: text,
  frozen: Type.Optional(QueryBoolean),
});

const named = {
  name: Type.String({ minLength: 1, maxLength: 255, pattern: "\\S" }),
  binary: Type.Optional(TextOrNull),
};
const Enable = Type.Object(named, { additionalProperties: false });
const Disable = Type.Object(
  {
    ...named,
    disabled_reason: Type.Optional(
      Type.Union([Type.String({ minLength: 1, maxLength: 255, pattern: "\\S" }), Type.Null()]),
    ),
  },
  { additionalProperties: false },
);

/** What the query of a list may ask for; keys of later versions are absent. */
interface Asked {
  readonly name?: string;
  readonly binary?: string;
  readonly is_up?: boolean;
  readonly disabled?: boolean;
  readonly num_hosts?: number;
  readonly num_down_hosts?: number;
  readonly replication_status?: string;
  readonly active_backend_id?: string;
  readonly frozen?: boolean;
}

/** `/clusters` */
export function clusterRoutes(deps: FaceDependencies): Route[] {
  const { store, clock } = deps.kernel;
  return [
    listRoute("clusters.list", "/clusters", clusterSummary),
    listRoute("clusters.detail", "/clusters/detail", clusterDetail),
    route({
      name: "clusters.show",
      method: "GET",
      path: "/clusters/:name",
      minVersion: "3.7",
      policy: "clusters:get",
      async handler(request) {
        request.authorize("clusters:get");
        const facts = await firstNamed(store.read, request.param("name"));
        return { body: { cluster: clusterVersions.down(request.version, clusterDetail(facts)) } };
      },
    }),
    route({
      name: "clusters.enable",
      method: "PUT",
      path: "/clusters/enable",
      minVersion: "3.7",
      policy: "clusters:update",
      body: Enable,
      handler: async (request) => await change(request, request.body, { disabled: 0, disabled_reason: null }),
    }),
    route({
      name: "clusters.disable",
      method: "PUT",
      path: "/clusters/disable",
      minVersion: "3.7",
      policy: "clusters:update",
      body: Disable,
      handler: async (request) =>
        await change(request, request.body, {
          disabled: 1,
          disabled_reason: request.body.disabled_reason?.trim() ?? null,
        }),
    }),
  ];

  function listRoute(name: string, path: string, view: (facts: ClusterFacts) => Record<string, unknown>): Route {
    return route({
      name,
      method: "GET",
      path,
      minVersion: "3.7",
      policy: "clusters:get_all",
      query: byVersion<typeof Filters>({ "3.0": Filters, "3.26": FiltersOfReplication }),
      strictQueryFrom: "always",
      async handler(request) {
        request.authorize("clusters:get_all");
        const asked: Asked = request.query;
        const found = await listClusters(store.read, judging(), { name: asked.name });
        const views = found.filter((facts) => fits(facts, asked)).map(view);
        return { body: { clusters: views.map((each) => clusterVersions.down(request.version, each)) } };
      },
    });
  }

  async function change(
    request: Pick<ApiRequest<never, never>, "authorize" | "version">,
    asked: { name: string; binary?: string | null },
    patch: { disabled: number; disabled_reason: string | null },
  ) {
    request.authorize("clusters:update");
    const facts = await store.tx(async (t) => {
      const { cluster } = await firstNamed(t, asked.name, asked.binary);
      // Before or after whoever places a volume there, not in between.
      await lockScope(t, cluster.name);
      await t
        .tables<BlockStorageTables>()
        .updateTable("volume_clusters")
        .set({ ...patch, updated_at: clock.now() })
        .where("name", "=", cluster.name)
        .execute();
      return await firstNamed(t, cluster.name);
    });
    const view = { ...clusterSummary(facts), disabled_reason: facts.cluster.disabled_reason };
    return { body: { cluster: clusterVersions.down(request.version, view) } };
  }

  async function firstNamed(q: Queries, name: string, binary?: string | null): Promise<ClusterFacts> {
    const [found] = (binary ?? VOLUME_BINARY) === VOLUME_BINARY ? await listClusters(q, judging(), { name }) : [];
    if (found) return found;
    throw new CloudError("notFound", "block-storage.cluster_not_found", `Cluster ${name} could not be found.`);
  }

  function judging() {
    return { now: clock.now(), fleet: deps.fleet };
  }
}

function fits({ cluster, hosts, downHosts, up }: ClusterFacts, asked: Asked): boolean {
  return (
    equals(asked.binary, VOLUME_BINARY) &&
    equals(asked.is_up, up) &&
    equals(asked.disabled, cluster.disabled === 1) &&
    equals(asked.num_hosts, hosts) &&
    equals(asked.num_down_hosts, downHosts) &&
    equals(asked.replication_status, cluster.replication_status) &&
    equals(asked.active_backend_id, cluster.active_backend_id) &&
    equals(asked.frozen, cluster.frozen === 1)
  );
}

function equals(wanted: unknown, value: unknown): boolean {
  return wanted === undefined || wanted === value;
}
