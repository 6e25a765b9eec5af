import { Type } from "typebox";
import { pageBody } from "../../../kernel/http/pagination.ts";
import { RememberedAnswers } from "../../../kernel/http/remembered-answers.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import {
  attachmentsByVolume,
  countVolumes,
  type ListedVolume,
  listVolumes,
  metadataOfVolumes,
  VOLUME_SORT_COLUMNS,
} from "../store/volume-lists.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { askedPage } from "./listing.ts";
import { flag, volumeFilter, volumeQuery } from "./volume-filters.ts";
import { fullView, knownVolume, ruleTarget, volumeOf } from "./volume-lookup.ts";
import {
  type AskingVolume,
  VOLUME_VIEW_RULES,
  type VolumeVisibility,
  visibilityOf,
  volumeSummary,
  volumeView,
} from "./volume-view.ts";

const GET = "volume:get";
const GET_ALL = "volume:get_all";

/** List, detailed list, summary and show. */
export function volumeReads(deps: FaceDependencies): Route[] {
  const q = deps.kernel.store.read;
  const answers = new RememberedAnswers(deps.kernel);
  const list = (kind: "list" | "detail") =>
    route({
      name: `volumes.${kind}`,
      method: "GET",
      path: kind === "list" ? "/volumes" : "/volumes/detail",
      policy: [GET_ALL, ...VOLUME_VIEW_RULES],
      query: volumeQuery,
      strictQueryFrom: "3.31",
      async handler(request) {
        request.authorize(GET_ALL, { project_id: request.context.projectId });
        return await answers.of(request, async (q) => {
          const { marker, ...page } = askedPage(request, VOLUME_SORT_COLUMNS, deps.settings.maxLimit);
          const filter = volumeFilter(request);
          const after = marker === undefined ? undefined : await knownVolume(q, request, marker);
          const volumes = await listVolumes(q, filter, { ...page, marker: after });
          const views =
            kind === "list"
              ? volumes.map((volume) => volumeSummary(volume, request.urls))
              : viewsOf(request, volumes, await attachmentsByVolume(q, volumes));
          const markerOf = (view: Record<string, unknown>) => String(view.id);
          const body = pageBody(request, "volumes", views, { limit: page.limit, markerOf });
          const counted =
            request.version.atLeast("3.45") && flag("with_count", request.query.with_count ?? "false") === 1;
          return counted ? { ...body, count: (await countVolumes(q, filter)).count } : body;
        });
      },
    });
  return [
    list("list"),
    list("detail"),
    route({
      name: "volumes.summary",
      method: "GET",
      path: "/volumes/summary",
      minVersion: "3.12",
      policy: GET_ALL,
      query: Type.Object({ all_tenants: Type.Optional(Type.String()) }),
      async handler(request) {
        request.authorize(GET_ALL, { project_id: request.context.projectId });
        const filter = volumeFilter(request);
        const { count, sizeGiB } = await countVolumes(q, filter);
        const summary = { total_size: sizeGiB, total_count: count };
        if (request.version.below("3.36")) return { body: { "volume-summary": summary } };
        const metadata = valuesByKey(await metadataOfVolumes(q, filter));
        return { body: { "volume-summary": { ...summary, metadata } } };
      },
    }),
    route({
      name: "volumes.show",
      method: "GET",
      path: "/volumes/:id",
      policy: [GET, ...VOLUME_VIEW_RULES],
      async handler(request) {
        const volume = await volumeOf(q, request);
        request.authorize(GET, ruleTarget(volume));
        return { body: { volume: await fullView(q, request, volume) } };
      },
    }),
  ];
}

/** Asks the policy once per project, which is all of a volume that these rules look at. */
function viewsOf(
  request: AskingVolume,
  volumes: readonly ListedVolume[],
  attachments: Awaited<ReturnType<typeof attachmentsByVolume>>,
) {
  const known = new Map<string, VolumeVisibility>();
  return volumes.map((volume) => {
    const sees = known.get(volume.project_id) ?? visibilityOf(request, volume);
    known.set(volume.project_id, sees);
    return volumeView(request, volume, attachments.get(volume.id) ?? [], sees);
  });
}

function valuesByKey(all: readonly Readonly<Record<string, string>>[]): Record<string, string[]> {
  const values = new Map<string, Set<string>>();
  for (const metadata of all)
    for (const [key, value] of Object.entries(metadata)) values.set(key, (values.get(key) ?? new Set()).add(value));
  return Object.fromEntries([...values].map(([key, set]) => [key, [...set].toSorted()]));
}
