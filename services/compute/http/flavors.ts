import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { pageBody, pageOf } from "../../../kernel/http/pagination.ts";
import { RememberedAnswers } from "../../../kernel/http/remembered-answers.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import { isTrue, looseBoolean } from "../../../kernel/http/schemas.ts";
import { nextNumber } from "../../../kernel/store/counters.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import {
  deleteFlavor,
  FLAVOR_SORT_KEYS,
  type FlavorSortKey,
  findFlavor,
  insertFlavor,
  listFlavors,
  updateFlavor,
} from "../store/flavors.ts";
import type { FlavorRow } from "../store/tables.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { flavorOf } from "./flavor-lookup.ts";
import { createFlavorBody, flavorQuery, updateFlavorBody } from "./flavor-schemas.ts";
import { flavorAnswer, flavorSummary, flavorVersions } from "./flavor-view.ts";

const SPECS_RULE = "os_compute_api:os-flavor-extra-specs:index";
const MANAGE = "os_compute_api:os-flavor-manage";

/** Lists, show, create, update and delete of flavors. */
export function flavorRoutes(deps: FaceDependencies): Route[] {
  const { store } = deps.kernel;
  const answers = new RememberedAnswers(deps.kernel);
  const list = (kind: "list" | "detail") =>
    route({
      name: `flavors.${kind}`,
      method: "GET",
      path: kind === "list" ? "/flavors" : "/flavors/detail",
      policy: ["os_compute_api:flavors:index", SPECS_RULE],
      query: flavorQuery,
      strictQueryFrom: "2.75",
      async handler(request) {
        request.authorize("os_compute_api:flavors:index", ownTarget(request));
        const { limit, marker } = pageOf(request, deps.settings.maxLimit);
        return await answers.of(request, async (q) => {
          const rows = await listFlavors(q, filterOf(request), {
            limit,
            marker: await markerOf(q, marker),
            ...orderOf(request.query),
          });
          const views = rows.map((row) => (kind === "detail" ? full(request, row) : summary(request, row)));
          return pageBody(request, "flavors", views, { limit, markerOf: (view) => String(view.id) });
        });
      },
    });
  return [
    list("list"),
    list("detail"),
    route({
      name: "flavors.show",
      method: "GET",
      path: "/flavors/:id",
      policy: ["os_compute_api:flavors:show", SPECS_RULE],
      async handler(request) {
        request.authorize("os_compute_api:flavors:show", ownTarget(request));
        return { body: { flavor: full(request, await flavorOf(store.read, request)) } };
      },
    }),
    route({
      name: "flavors.create",
      method: "POST",
      path: "/flavors",
      policy: [`${MANAGE}:create`, SPECS_RULE],
      body: createFlavorBody,
      async handler(request) {
        request.authorize(`${MANAGE}:create`);
        const wanted = request.body.flavor;
        const row = await store.tx(async (t) => {
          const made: FlavorRow = {
            number: await nextNumber(t, "compute.flavor"),
            id: String(wanted.id ?? deps.kernel.ids.uuid()),
            name: wanted.name,
            vcpus: Number(wanted.vcpus),
            ram_mib: Number(wanted.ram),
            disk_gib: Number(wanted.disk),
            ephemeral_gib: Number(wanted["OS-FLV-EXT-DATA:ephemeral"] ?? 0),
            swap_mib: Number(wanted.swap ?? 0),
            is_public: isTrue(wanted["os-flavor-access:is_public"] ?? true) ? 1 : 0,
            disabled: 0,
            rxtx_factor: Number(wanted.rxtx_factor ?? 1),
            description: wanted.description ?? null,
            extra_specs: "{}",
            created_at: deps.kernel.clock.now(),
          };
          if (await insertFlavor(t, made)) return made;
          throw new CloudError(
            "conflict",
            "compute.flavor_exists",
            `Flavor with name ${made.name} or ID ${made.id} already exists.`,
          );
        });
        return { body: { flavor: full(request, row) } };
      },
    }),
    route({
      name: "flavors.update",
      method: "PUT",
      path: "/flavors/:id",
      minVersion: "2.55",
      policy: [`${MANAGE}:update`, SPECS_RULE],
      body: updateFlavorBody,
      async handler(request) {
        request.authorize(`${MANAGE}:update`);
        const row = await flavorOf(store.read, request);
        const { description } = request.body.flavor;
        await store.tx((t) => updateFlavor(t, row.id, { description }));
        return { body: { flavor: full(request, { ...row, description }) } };
      },
    }),
    route({
      name: "flavors.delete",
      method: "DELETE",
      path: "/flavors/:id",
      policy: `${MANAGE}:delete`,
      success: 202,
      async handler(request) {
        request.authorize(`${MANAGE}:delete`);
        const row = await flavorOf(store.read, request);
        await store.tx((t) => deleteFlavor(t, row.id));
        return undefined;
      },
    }),
  ];
}

type Asking = Pick<ApiRequest<never, never>, "check" | "context" | "version" | "urls">;

function ownTarget(request: Asking) {
  return { project_id: request.context.projectId };
}

function full(request: Asking, row: FlavorRow) {
  const mayKnowSpecs = request.check(SPECS_RULE, ownTarget(request));
  return flavorVersions.down(request.version, flavorAnswer(row, request.urls, mayKnowSpecs)).flavor;
}

function summary(request: Asking, row: FlavorRow) {
  const { description, ...rest } = flavorSummary(row, request.urls);
  return request.version.atLeast("2.55") ? { ...rest, description } : rest;
}

interface FlavorQuery {
  is_public?: string;
  minRam?: number;
  minDisk?: number;
  sort_key?: string;
  sort_dir?: string;
}

/** Only administrators choose between public flavors and others; everybody else sees what the project may use. */
function filterOf(request: Pick<ApiRequest<unknown, FlavorQuery>, "query" | "context">) {
  const { query, context } = request;
  return {
    isPublic: context.isAdmin ? publicOnly(query.is_public) : undefined,
    projectId: context.projectId,
    minRamMiB: query.minRam ?? 0,
    minDiskGiB: query.minDisk ?? 0,
  };
}

function publicOnly(text: string | undefined): false | null | undefined {
  if (text === undefined) return undefined;
  if (text.toLowerCase() === "none") return null;
  const wanted = looseBoolean(text);
  if (wanted === undefined) throw new CloudError("invalid", "compute.is_public", `Invalid is_public filter [${text}]`);
  return wanted ? undefined : false;
}

function orderOf(query: FlavorQuery): { sortKey: FlavorSortKey; descending: boolean } {
  const { sort_key: key = "flavorid", sort_dir: direction = "asc" } = query;
  if (!Object.hasOwn(FLAVOR_SORT_KEYS, key) || (direction !== "asc" && direction !== "desc"))
    throw new CloudError("invalid", "compute.sort", "Sort key or direction is not valid.");
  return { sortKey: key as FlavorSortKey, descending: direction === "desc" };
}

async function markerOf(q: Queries, id: string | undefined): Promise<FlavorRow | undefined> {
  if (id === undefined) return undefined;
  const row = await findFlavor(q, id);
  if (!row) throw new CloudError("invalid", "compute.marker", `marker [${id}] not found`);
  return row;
}
