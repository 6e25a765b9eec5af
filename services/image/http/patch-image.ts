import { Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import { Validator } from "../../../kernel/http/validation.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import { badImage, readOnly } from "../domain/faults.ts";
import { applyPatch, nameOf, type PatchOperation } from "../domain/json-patch.ts";
import type { ImageContext } from "../settings.ts";
import { type FullImage, setProperties, setTags } from "../store/images.ts";
import type { ImageTables } from "../store/tables.ts";
import { PATCH_TYPES } from "./face.ts";
import { findFor } from "./find.ts";
import { checkFormats, checkProperties, isProperty, READ_ONLY, WRITABLE, Writable } from "./image-attributes.ts";
import { imageView } from "./image-view.ts";
import { authorizeVisibility } from "./images.ts";

const Patch = Type.Array(
  Type.Object({
    op: Type.Enum(["add", "replace", "remove"]),
    path: Type.String({ maxLength: 300 }),
    value: Type.Optional(Type.Unknown()),
  }),
  { maxItems: 256 },
);

/** Attributes that exist in every image: they are changed, never removed. */
const BASE = new Set(Object.keys(WRITABLE));

export function patchRoute(context: ImageContext): Route {
  const validator = new Validator();
  return route({
    name: "images.update",
    method: "PATCH",
    path: "/images/:id",
    policy: ["modify_image", "publicize_image", "communitize_image"],
    body: Patch,
    async handler(request) {
      requirePatchType(request);
      const operations = request.body;
      for (const { op, path } of operations) checkName(op, nameOf(path));
      return await context.store.tx(async (t) => {
        const image = await findFor(t, request, "modify_image");
        const changed = changedImage(context, image, operations, (document) => validator.validate(Writable, document));
        if (changed.row.visibility !== image.row.visibility) {
          authorizeVisibility(request, changed.row.visibility, image.row.owner);
        }
        if (changed.row.owner !== image.row.owner && !request.context.isAdmin) throw readOnly("owner");
        await save(t, changed);
        return { body: imageView(changed) };
      });
    },
  });
}

function requirePatchType(request: ApiRequest): void {
  const type = String(request.headers["content-type"] ?? "").split(";")[0];
  if (PATCH_TYPES.some((known) => known === type)) return;
  throw new CloudError("invalid", "image.patch_type", `Changes are sent as ${PATCH_TYPES[0]}.`, { httpStatus: 415 });
}

function checkName(op: string, name: string): void {
  if (name === "id" || READ_ONLY.has(name)) throw readOnly(name);
  if (!BASE.has(name) && !isProperty(name)) {
    throw new CloudError("forbidden", "image.reserved", `Attribute '${name}' is reserved.`);
  }
  if (op === "remove" && BASE.has(name)) {
    throw new CloudError("forbidden", "image.base_attribute", `Property ${name} may not be removed.`);
  }
}

/** Throws 400 for values that are none, and 403 for formats of an image that has data. */
function changedImage(
  context: ImageContext,
  image: FullImage,
  operations: readonly PatchOperation[],
  validate: (document: unknown) => void,
): FullImage {
  const { row } = image;
  const before = {
    name: row.name,
    visibility: row.visibility,
    protected: row.protected === 1,
    os_hidden: row.hidden === 1,
    min_disk: row.min_disk_gib,
    min_ram: row.min_ram_mib,
    disk_format: row.disk_format,
    container_format: row.container_format,
    tags: [...image.tags],
    owner: row.owner,
  };
  const document = applyPatch({ ...image.properties, ...before }, operations, (name) => {
    return new CloudError("conflict", "image.no_property", `Property ${name} does not exist.`);
  });
  validate(document);
  const after = document as Writable;
  const diskFormat = after.disk_format ?? null;
  const containerFormat = after.container_format ?? null;
  const reformatted = diskFormat !== row.disk_format || containerFormat !== row.container_format;
  if (reformatted && row.status !== "queued") {
    throw new CloudError("forbidden", "image.formats_fixed", "Formats can only be changed while the image is queued.");
  }
  checkFormats(diskFormat, containerFormat);
  const owner = after.owner ?? row.owner;
  const free = Object.entries(document).filter(([name]) => isProperty(name));
  return {
    row: {
      ...row,
      owner,
      name: after.name ?? null,
      visibility: after.visibility ?? row.visibility,
      protected: after.protected ? 1 : 0,
      hidden: after.os_hidden ? 1 : 0,
      min_disk_gib: after.min_disk ?? 0,
      min_ram_mib: after.min_ram ?? 0,
      disk_format: diskFormat,
      container_format: containerFormat,
      updated_at: context.clock.now(),
    },
    properties: checkProperties(Object.fromEntries(free)),
    tags: [...new Set(after.tags ?? [])].sort(),
  };
}

/** Everything but the status and what an upload writes. */
async function save(t: Tx, { row, properties, tags }: FullImage): Promise<void> {
  const { owner, name, visibility, hidden, min_disk_gib, min_ram_mib, disk_format, container_format, updated_at } = row;
  const set = { owner, name, visibility, protected: row.protected, hidden, min_disk_gib, min_ram_mib };
  const saved = await t
    .tables<ImageTables>()
    .updateTable("images")
    .set({ ...set, disk_format, container_format, updated_at })
    .where("id", "=", row.id)
    .where("status", "=", row.status)
    .returning("id")
    .executeTakeFirst();
  if (!saved) throw badImage("The image's status changed meanwhile; try again.");
  await setProperties(t, row.id, properties);
  await setTags(t, row.id, tags);
}
