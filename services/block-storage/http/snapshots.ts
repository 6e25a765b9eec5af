import { Type } from "typebox";
import { pageBody } from "../../../kernel/http/pagination.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import { invalidVolume } from "../domain/can-volume.ts";
import {
  countSnapshots,
  listSnapshots,
  SNAPSHOT_SORT_COLUMNS,
  type SnapshotFilter,
  transitionSnapshot,
} from "../store/snapshots.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { askedPage, listQuery } from "./listing.ts";
import { removeSnapshot } from "./remove-snapshot.ts";
import { TextOrNull } from "./schemas.ts";
import { knownSnapshot, snapshotOf } from "./snapshot-lookup.ts";
import { EXTENDED_SNAPSHOT, snapshotDetail, snapshotSummary, snapshotVersions } from "./snapshot-view.ts";
import { timeLimits, timeQuery } from "./time-filters.ts";
import { flag, pairs } from "./volume-filters.ts";
import { ruleTarget } from "./volume-lookup.ts";

const GET = "volume:get_snapshot";
const GET_ALL = "volume:get_all_snapshots";
const UPDATE = "volume:update_snapshot";
const DELETE = "volume:delete_snapshot";

const text = Type.Optional(Type.String());
const query = Type.Object({
  ...listQuery,
  ...timeQuery,
  all_tenants: text,
  project_id: text,
  with_count: text,
  volume_id: text,
  name: text,
  display_name: text,
  status: text,
  id: text,
  metadata: text,
  availability_zone: text,
});
type Asked = ApiRequest<unknown, Type.Static<typeof query>>;

const Text = Type.Optional(TextOrNull);
const UpdateBody = Type.Object({
  snapshot: Type.Object({ name: Text, display_name: Text, description: Text, display_description: Text }),
});

/** `/snapshots`, but for making them. */
export function snapshotRoutes(deps: FaceDependencies): Route[] {
  const { store, clock } = deps.kernel;
  const q = store.read;
  const list = (kind: "list" | "detail") =>
    route({
      name: `snapshots.${kind}`,
      method: "GET",
      path: kind === "list" ? "/snapshots" : "/snapshots/detail",
      policy: [GET_ALL, EXTENDED_SNAPSHOT],
      query,
      strictQueryFrom: "3.31",
      async handler(request) {
        request.authorize(GET_ALL, { project_id: request.context.projectId });
        const { marker, ...page } = askedPage(request, SNAPSHOT_SORT_COLUMNS, deps.settings.maxLimit);
        const filter = filterOf(request);
        const after = marker === undefined ? undefined : await knownSnapshot(q, request, marker);
        const rows = await listSnapshots(q, filter, { ...page, marker: after });
        const views = rows.map((row) =>
          snapshotVersions.down(request.version, kind === "list" ? snapshotSummary(row) : snapshotDetail(request, row)),
        );
        const markerOf = (view: Record<string, unknown>) => String(view.id);
        const body = pageBody(request, "snapshots", views, { limit: page.limit, markerOf });
        const counted =
          request.version.atLeast("3.45") && flag("with_count", request.query.with_count ?? "false") === 1;
        return { body: counted ? { ...body, count: await countSnapshots(q, filter) } : body };
      },
    });
  return [
    list("list"),
    list("detail"),
    route({
      name: "snapshots.show",
      method: "GET",
      path: "/snapshots/:id",
      policy: [GET, EXTENDED_SNAPSHOT],
      async handler(request) {
        const row = await snapshotOf(q, request);
        request.authorize(GET, ruleTarget(row));
        return { body: { snapshot: snapshotVersions.down(request.version, snapshotDetail(request, row)) } };
      },
    }),
    route({
      name: "snapshots.update",
      method: "PUT",
      path: "/snapshots/:id",
      policy: UPDATE,
      body: UpdateBody,
      async handler(request) {
        const { id, ...snapshot } = await snapshotOf(q, request);
        request.authorize(UPDATE, ruleTarget(snapshot));
        const asked = request.body.snapshot;
        const name = asked.name ?? asked.display_name;
        const description = asked.description ?? asked.display_description;
        const set = {
          ...(name === undefined ? {} : { name: name?.trim() ?? null }),
          ...(description === undefined ? {} : { description: description?.trim() ?? null }),
        };
        if (Object.keys(set).length === 0) throw invalidVolume("Nothing is to be changed.");
        const row = await store.tx((t) =>
          transitionSnapshot(t, { clock, id, from: null, to: { set }, action: "update" }),
        );
        return { body: { snapshot: snapshotVersions.down(request.version, snapshotSummary(row)) } };
      },
    }),
    route({
      name: "snapshots.delete",
      method: "DELETE",
      path: "/snapshots/:id",
      policy: DELETE,
      success: 202,
      async handler(request) {
        const { id, ...snapshot } = await snapshotOf(q, request);
        request.authorize(DELETE, ruleTarget(snapshot));
        await store.tx((t) => removeSnapshot(t, deps, { snapshotId: id, force: false, requestId: request.requestId }));
        return undefined;
      },
    }),
  ];
}

function filterOf(request: Asked): SnapshotFilter {
  const { context, query: asked } = request;
  const everywhere = context.isAdmin && flag("all_tenants", asked.all_tenants ?? "false") === 1;
  const equals = {
    project_id: everywhere ? asked.project_id : (context.projectId ?? ""),
    volume_id: asked.volume_id,
    name: asked.name ?? asked.display_name,
    status: asked.status,
    id: asked.id,
  };
  return {
    equals: Object.fromEntries(Object.entries(equals).filter(([, value]) => value !== undefined)),
    zone: asked.availability_zone,
    // Below 3.22 snapshots were not looked for by their metadata.
    metadata: request.version.atLeast("3.22") ? pairs("metadata", asked.metadata) : undefined,
    times: timeLimits(request),
  };
}
