import { type Static, Type } from "typebox";
import { isoMicros } from "../../../kernel/clock/clock.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { pageBody, pageOf, pageQuery } from "../../../kernel/http/pagination.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { byVersion, type Route, route } from "../../../kernel/http/route.ts";
import { looseBoolean } from "../../../kernel/http/schemas.ts";
import { versionSteps } from "../../../kernel/http/version-steps.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import { LIVE_LISTED } from "../domain/migration-state.ts";
import { findMigrationByUuid, listMigrations, type MigrationFilter } from "../store/migration-lists.ts";
import type { MigrationRow } from "../store/tables.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { type Json, linksOf } from "./server-view.ts";
import { changesBefore, changesSince, timeRange } from "./times.ts";

const RULE = "os_compute_api:os-migrations:index";
const Text = Type.Optional(Type.String({ maxLength: 255 }));
const BASE = {
  host: Text,
  source_compute: Text,
  instance_uuid: Text,
  status: Text,
  migration_type: Text,
  hidden: Text,
};
const SINCE_2_59 = { ...BASE, ...pageQuery, ...changesSince };
const SINCE_2_66 = { ...SINCE_2_59, ...changesBefore };
const Newest = Type.Object({ ...SINCE_2_66, user_id: Text, project_id: Text });

const HOST_FIELDS = ["source_compute", "dest_compute", "dest_host", "source_node", "dest_node"] as const;

const steps = versionSteps<Json>([
  { since: "2.23", name: "migration type and links", down: without("migration_type", "links") },
  { since: "2.59", name: "uuid", down: without("uuid") },
  { since: "2.80", name: "who started it", down: without("user_id", "project_id") },
]);

/** `GET /os-migrations` */
export function migrationRoutes(deps: FaceDependencies): Route[] {
  const q = deps.kernel.store.read;
  return [
    route({
      name: "migrations.list",
      method: "GET",
      path: "/os-migrations",
      policy: [RULE, `${RULE}:all_projects`, `${RULE}:host`],
      query: byVersion<typeof Newest>({
        "2.1": Type.Object(BASE) as unknown as typeof Newest,
        "2.59": Type.Object(SINCE_2_59) as unknown as typeof Newest,
        "2.66": Type.Object(SINCE_2_66) as unknown as typeof Newest,
        "2.80": Newest,
      }),
      strictQueryFrom: "2.59",
      async handler(request) {
        const own = { project_id: request.context.projectId };
        request.authorize(RULE, own);
        const { query } = request;
        if (query.project_id !== request.context.projectId) request.authorize(`${RULE}:all_projects`, own);
        const seesHosts = request.check(`${RULE}:host`, own);
        const paged = request.version.atLeast("2.59");
        const page = pageOf(request, deps.settings.maxLimit);
        const limit = paged ? page.limit : deps.settings.maxLimit;
        // Nothing here is hidden: such records are a matter of OpenStack's own upgrade.
        const rows =
          limit === 0 || (query.hidden !== undefined && looseBoolean(query.hidden) === true)
            ? []
            : await listMigrations(q, filterOf(query), {
                limit,
                marker: await markerOf(q, page.marker),
                oldestFirst: !paged,
              });
        const views = rows.map((row) => withoutHosts(steps.down(request.version, view(row, request)), seesHosts));
        if (!paged) return { body: { migrations: views } };
        const markerOfView = (each: Json) => String(each.uuid);
        return { body: pageBody(request, "migrations", views, { limit, markerOf: markerOfView }) };
      },
    }),
  ];
}

function filterOf(query: Static<typeof Newest>): MigrationFilter {
  return {
    host: query.host,
    sourceHost: query.source_compute,
    serverId: query.instance_uuid,
    status: query.status,
    type: query.migration_type,
    userId: query.user_id,
    projectId: query.project_id,
    ...timeRange(query),
  };
}

async function markerOf(q: Queries, uuid: string | undefined): Promise<MigrationRow | undefined> {
  if (uuid === undefined) return undefined;
  const row = await findMigrationByUuid(q, uuid);
  if (row) return row;
  throw new CloudError("invalid", "compute.marker", `marker [${uuid}] not found`);
}

function view(row: MigrationRow, request: Pick<ApiRequest, "urls">): Json {
  const listed = row.type === "live-migration" && LIVE_LISTED.includes(row.status);
  return {
    id: row.number,
    uuid: row.uuid,
    instance_uuid: row.server_id,
    status: row.status,
    migration_type: row.type,
    ...hostsOf(row),
    old_instance_type_id: row.old_flavor_number,
    new_instance_type_id: row.new_flavor_number,
    created_at: isoMicros(row.created_at),
    updated_at: isoMicros(row.updated_at),
    ...(listed ? { links: linksOf(request.urls, `/servers/${row.server_id}/migrations/${row.number}`) } : {}),
    user_id: row.user_id,
    project_id: row.project_id,
  };
}

export function hostsOf(row: MigrationRow): Json {
  return {
    source_compute: row.source_host,
    dest_compute: row.dest_host,
    dest_host: row.dest_address,
    source_node: row.source_host,
    dest_node: row.dest_host,
  };
}

/** The names of hosts are for administrators; the fields stay. */
export function withoutHosts(migration: Json, seesHosts: boolean): Json {
  if (!seesHosts) for (const field of HOST_FIELDS) migration[field] = null;
  return migration;
}

function without(...keys: string[]): (migration: Json) => void {
  return (migration) => {
    for (const key of keys) delete migration[key];
  };
}
