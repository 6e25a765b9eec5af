import { Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { pageBody, pageOf, pageQuery } from "../../../kernel/http/pagination.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import { badImage, readOnly } from "../domain/faults.ts";
import { queuedImage } from "../new-image.ts";
import type { ImageVisibility } from "../public.ts";
import type { ImageContext } from "../settings.ts";
import { listImages } from "../store/image-list.ts";
import { deleteImageRow, insertImage, withDetails } from "../store/images.ts";
import { DEFAULT_PAGE } from "./face.ts";
import { findFor, viewerOf } from "./find.ts";
import { checkFormats, checkProperties, isProperty, READ_ONLY, WRITABLE, type Writable } from "./image-attributes.ts";
import { imageView } from "./image-view.ts";
import { filtersOf, sortOf } from "./list-query.ts";

const CANONICAL_UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

const CreateImage = Type.Object({ ...WRITABLE, id: Type.Optional(Type.String({ format: "uuid-like" })) });

export function imageRoutes(context: ImageContext): Route[] {
  const { store } = context;
  return [
    route({
      name: "images.create",
      method: "POST",
      path: "/images",
      policy: ["add_image", "publicize_image", "communitize_image"],
      success: 201,
      body: CreateImage,
      async handler(request) {
        const image = queuedImage(context, newImage(request, request.body));
        authorizeVisibility(request, image.row.visibility, image.row.owner);
        if (!(await store.tx((t) => insertImage(t, image)))) {
          throw new CloudError("conflict", "image.exists", `Image ID ${image.row.id} already exists!`);
        }
        return { body: imageView(image), headers: { Location: request.urls.self(`/images/${image.row.id}`) } };
      },
    }),
    route({
      name: "images.list",
      method: "GET",
      path: "/images",
      policy: "get_images",
      query: Type.Object(pageQuery),
      async handler(request) {
        const viewer = viewerOf(request);
        request.authorize("get_images", { project_id: viewer.projectId, owner: viewer.projectId });
        const page = pageOf(request);
        const limit = request.query.limit === undefined ? DEFAULT_PAGE : page.limit;
        const query = request.rawQuery;
        const rows = await listImages(store.read, {
          filters: filtersOf(query),
          sort: sortOf(query),
          limit,
          marker: page.marker,
          viewer,
        });
        const views = (await withDetails(store.read, rows)).map(imageView);
        const body = pageBody(request, "images", views, { limit, markerOf: (view) => view.id });
        return { body: { ...body, schema: "/v2/schemas/images" } };
      },
    }),
    route({
      name: "images.show",
      method: "GET",
      path: "/images/:id",
      policy: "get_image",
      async handler(request) {
        return { body: imageView(await findFor(store.read, request, "get_image")) };
      },
    }),
    route({
      name: "images.delete",
      method: "DELETE",
      path: "/images/:id",
      policy: "delete_image",
      success: 204,
      async handler(request) {
        const image = await store.tx(async (t) => {
          const found = await findFor(t, request, "delete_image");
          if (found.row.protected === 1) {
            throw new CloudError(
              "forbidden",
              "image.protected",
              `Image ${found.row.id} is protected and cannot be deleted.`,
            );
          }
          await deleteImageRow(t, found.row.id);
          return found;
        });
        await context.files.remove(image.row.id);
        return {};
      },
    }),
  ];
}

/** Who may make it public, or offer it to everybody. */
export function authorizeVisibility(request: ApiRequest, visibility: ImageVisibility, owner: string): void {
  const target = { project_id: owner, owner };
  if (visibility === "public") request.authorize("publicize_image", target);
  if (visibility === "community") request.authorize("communitize_image", target);
}

function newImage(request: ApiRequest, body: Writable & { id?: string }) {
  for (const name of Object.keys(body)) if (READ_ONLY.has(name)) throw readOnly(name);
  const owner = body.owner ?? request.context.projectId;
  if (owner === null) throw badImage("The token has no project, so the request must name an owner.");
  if (body.id !== undefined && !CANONICAL_UUID.test(body.id)) throw badImage("The id must be a UUID in lower case.");
  request.authorize("add_image", { project_id: request.context.projectId, owner });
  checkFormats(body.disk_format ?? null, body.container_format ?? null);
  const free = Object.entries(body).filter(([name]) => isProperty(name));
  return {
    owner,
    name: body.name ?? null,
    visibility: body.visibility ?? ("shared" as const),
    protected: body.protected ?? false,
    hidden: body.os_hidden ?? false,
    minDiskGiB: body.min_disk ?? 0,
    minRamMiB: body.min_ram ?? 0,
    diskFormat: body.disk_format ?? null,
    containerFormat: body.container_format ?? null,
    properties: checkProperties(Object.fromEntries(free)),
    tags: body.tags ?? [],
    ...(body.id === undefined ? {} : { id: body.id }),
  };
}
