import { Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { pageBody } from "../../../kernel/http/pagination.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import { BodyBoolean, isTrue, looseBoolean } from "../../../kernel/http/schemas.ts";
import type { VolumeTypeRow } from "../store/tables.ts";
import {
  defaultType,
  deleteType,
  getType,
  insertType,
  listTypes,
  mustBeUnused,
  TYPE_SORT_COLUMNS,
  updateType,
} from "../store/volume-types.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { askedPage, listQuery } from "./listing.ts";
import { ExtraSpecs, NameOrBlank, ResourceName, TextOrNull } from "./schemas.ts";
import { ownTarget, TYPE_VIEW_RULES, typeView, viewerOf } from "./type-view.ts";

const CREATE = "volume_extension:type_create";
const UPDATE = "volume_extension:type_update";
const DELETE = "volume_extension:type_delete";
const GET = "volume_extension:type_get";
const GET_ALL = "volume_extension:type_get_all";
const BASE_TYPE = "__DEFAULT__";

const query = Type.Object({
  ...listQuery,
  is_public: Type.Optional(Type.String()),
  extra_specs: Type.Optional(Type.String()),
});

const CreateBody = Type.Object({
  volume_type: Type.Object({
    name: ResourceName,
    description: Type.Optional(TextOrNull),
    "os-volume-type-access:is_public": Type.Optional(BodyBoolean),
    extra_specs: Type.Optional(Type.Union([ExtraSpecs, Type.Null()])),
  }),
});

const UpdateBody = Type.Object({
  volume_type: Type.Object({
    name: Type.Optional(NameOrBlank),
    description: Type.Optional(TextOrNull),
    is_public: Type.Optional(BodyBoolean),
  }),
});

/** `/types` */
export function typeRoutes(deps: FaceDependencies): Route[] {
  const { store, clock, ids } = deps.kernel;
  const q = store.read;
  return [
    route({
      name: "types.list",
      method: "GET",
      path: "/types",
      policy: [GET_ALL, ...TYPE_VIEW_RULES],
      query,
      async handler(request) {
        request.authorize(GET_ALL, ownTarget(request));
        const viewer = viewerOf(request);
        const { marker, ...page } = askedPage(request, TYPE_SORT_COLUMNS, deps.settings.maxLimit);
        const after = marker === undefined ? undefined : await getType(q, viewer, marker);
        const filter = {
          isPublic: viewer.isAdmin ? askedPublicity(request.query.is_public) : true,
          extraSpecs: viewer.isAdmin ? askedSpecs(request) : undefined,
        };
        const rows = await listTypes(q, viewer, filter, { ...page, marker: after });
        const views = rows.map((row) => typeView(request, row));
        const markerOf = (view: Record<string, unknown>) => String(view.id);
        const linksKey = "volume_type_links";
        return { body: pageBody(request, "volume_types", views, { limit: page.limit, markerOf, linksKey }) };
      },
    }),
    route({
      name: "types.create",
      method: "POST",
      path: "/types",
      policy: [CREATE, ...TYPE_VIEW_RULES],
      body: CreateBody,
      async handler(request) {
        request.authorize(CREATE);
        const asked = request.body.volume_type;
        const isPublic = asked["os-volume-type-access:is_public"];
        const row: VolumeTypeRow = {
          id: ids.uuid(),
          name: asked.name.trim(),
          description: asked.description ?? null,
          is_public: isPublic === undefined || isTrue(isPublic) ? 1 : 0,
          extra_specs: JSON.stringify(asked.extra_specs ?? {}),
          qos_specs_id: null,
          created_at: clock.now(),
          updated_at: null,
        };
        await store.tx((t) => insertType(t, row));
        return { body: { volume_type: typeView(request, row) } };
      },
    }),
    route({
      name: "types.default",
      method: "GET",
      path: "/types/default",
      policy: [GET, ...TYPE_VIEW_RULES],
      async handler(request) {
        request.authorize(GET, ownTarget(request));
        const row = await defaultType(q, deps.settings.defaultVolumeType);
        return { body: { volume_type: typeView(request, row) } };
      },
    }),
    route({
      name: "types.show",
      method: "GET",
      path: "/types/:id",
      policy: [GET, ...TYPE_VIEW_RULES],
      async handler(request) {
        const row = await getType(q, viewerOf(request), request.param("id"));
        request.authorize(GET, ownTarget(request));
        return { body: { volume_type: typeView(request, row) } };
      },
    }),
    route({
      name: "types.update",
      method: "PUT",
      path: "/types/:id",
      policy: [UPDATE, ...TYPE_VIEW_RULES],
      body: UpdateBody,
      async handler(request) {
        request.authorize(UPDATE);
        const { name, description, is_public: isPublic } = request.body.volume_type;
        if (name === undefined && description === undefined && isPublic === undefined)
          throw invalidType("Specify volume type name, description, is_public or a combination thereof.");
        if (name?.trim() === "") throw invalidType("Volume type name can not be empty.");
        const patch = {
          ...(name === undefined || name === null ? {} : { name: name.trim() }),
          ...(description === undefined ? {} : { description }),
          ...(isPublic === undefined ? {} : { is_public: isTrue(isPublic) ? 1 : 0 }),
        };
        const row = await store.tx(async (t) => {
          const { name: old } = await getType(t, viewerOf(request), request.param("id"));
          if (old === BASE_TYPE && patch.name !== undefined && patch.name !== BASE_TYPE)
            throw invalidType(`The volume type ${BASE_TYPE} keeps its name.`);
          return await updateType(t, request.param("id"), patch, clock.now());
        });
        return { body: { volume_type: typeView(request, row) } };
      },
    }),
    route({
      name: "types.delete",
      method: "DELETE",
      path: "/types/:id",
      policy: DELETE,
      success: 202,
      async handler(request) {
        request.authorize(DELETE);
        await store.tx(async (t) => {
          const row = await getType(t, viewerOf(request), request.param("id"));
          if (row.name === BASE_TYPE || row.name === deps.settings.defaultVolumeType)
            throw invalidType(`The volume type ${row.id} is the default volume type and cannot be deleted.`);
          await mustBeUnused(t, row.id);
          await deleteType(t, row.id);
        });
        return undefined;
      },
    }),
  ];
}

/** `None` stands for both kinds; without the parameter only public types are listed. */
function askedPublicity(text: string | undefined): boolean | undefined {
  if (text === undefined) return true;
  if (text.toLowerCase() === "none") return undefined;
  const value = looseBoolean(text);
  if (value === undefined) throw invalidType(`Invalid is_public filter [${text.slice(0, 40)}]`);
  return value;
}

/** `extra_specs={"key": "value"}`, as clients write it: in the manner of Python. Since 3.52. */
function askedSpecs(request: ApiRequest<unknown, { extra_specs?: string }>): Record<string, string> | undefined {
  const text = request.query.extra_specs;
  if (text === undefined || request.version.below("3.52")) return undefined;
  const pairs = [...text.matchAll(/["']([^"']{1,255})["']\s*:\s*["']([^"']{0,255})["']/g)];
  if (pairs.length === 0) throw invalidType("The filter extra_specs must be a dictionary.");
  return Object.fromEntries(pairs.map(([, key = "", value = ""]) => [key, value]));
}

function invalidType(message: string): CloudError {
  return new CloudError("invalid", "block-storage.invalid_type", message);
}
