import { Type } from "typebox";
import type { Manageable } from "../../../agent/protocol/block-storage.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { askedPage, type ListQuery, listQuery } from "./listing.ts";
import { askedPlace, livingPool } from "./volumes-manage.ts";

const RULE = "volume_extension:list_manageable";

const Query = Type.Object({
  ...listQuery,
  host: Type.Optional(Type.String()),
  cluster: Type.Optional(Type.String()),
});
type Asked = ApiRequest<unknown, ListQuery & { host?: string; cluster?: string }>;

/** Sorted by what the array says: nothing of it is in our tables. */
const SORT_COLUMNS = { reference: { column: "reference" }, size: { column: "size" } };

/** `GET /os-volume-manage`, `/manageable_volumes` (since 3.8), and their `detail`. */
export function manageableListRoutes(deps: FaceDependencies): Route[] {
  return [
    list("os-volume-manage.list", "/os-volume-manage", summary),
    list("os-volume-manage.detail", "/os-volume-manage/detail", detail),
    list("manageable-volumes.list", "/manageable_volumes", summary, "3.8"),
    list("manageable-volumes.detail", "/manageable_volumes/detail", detail, "3.8"),
  ];

  function list(name: string, path: string, view: (found: Manageable) => object, minVersion?: string): Route {
    return route({
      name,
      method: "GET",
      path,
      ...(minVersion === undefined ? {} : { minVersion }),
      policy: RULE,
      query: Query,
      strictQueryFrom: "always",
      async handler(request) {
        request.authorize(RULE);
        const wanted = askedPage(request, SORT_COLUMNS, deps.settings.maxLimit);
        const place = askedPlace(request.query, request.version.atLeast("3.17"));
        const { backend } = await livingPool(deps.kernel.store.read, deps, place);
        const all = sorted(await deps.manageable.on(backend.node, backend.backend), request);
        const start = wanted.marker === undefined ? 0 : behind(all, referenceOf(wanted.marker));
        const page = all.slice(start + wanted.offset, start + wanted.offset + wanted.limit);
        return { body: { "manageable-volumes": page.map(view) } };
      },
    });
  }
}

function summary({ reference, sizeGiB, safeToManage }: Manageable) {
  return { reference: { "source-name": reference }, size: sizeGiB, safe_to_manage: safeToManage };
}

function detail(found: Manageable) {
  return { ...summary(found), reason_not_safe: found.reasonNotSafe, cinder_id: found.volumeId, extra_info: null };
}

/** As asked, which `askedPage` has checked; by reference, the last first, when nothing is asked. */
function sorted(found: readonly Manageable[], { query }: Asked): Manageable[] {
  const given = query.sort ?? `${query.sort_key ?? "reference"}:${query.sort_dir ?? "desc"}`;
  const keys = given.split(",").map((part) => part.trim().split(":"));
  return found.toSorted((a, b) => {
    for (const [key, direction = "desc"] of keys) {
      const order = key === "size" ? a.sizeGiB - b.sizeGiB : a.reference < b.reference ? -1 : 1;
      if (order !== 0) return direction === "asc" ? order : -order;
    }
    return 0;
  });
}

function behind(all: readonly Manageable[], reference: string): number {
  const at = all.findIndex((each) => each.reference === reference);
  if (at >= 0) return at + 1;
  throw new CloudError("invalid", "block-storage.marker_not_found", "The marker is not in the list.");
}

/** Clients hand back the reference as they got it, or as their language writes it down; its name alone will do too. */
function referenceOf(marker: string): string {
  return /['"]source-name['"]\s*:\s*u?['"]([^'"]+)['"]/.exec(marker)?.[1] ?? marker;
}
