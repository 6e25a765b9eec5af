import { type Static, Type } from "typebox";
import { badImage } from "../domain/faults.ts";
import { DISK_FORMATS } from "../public-images.ts";

export const CONTAINER_FORMATS = ["bare", "aki", "ari", "ami"] as const;
export const VISIBILITIES = ["public", "private", "shared", "community"] as const;

const orNull = <S extends Parameters<typeof Type.Union>[0][number]>(schema: S) =>
  Type.Optional(Type.Union([schema, Type.Null()]));
const Gauge = Type.Optional(Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1 }));
const Tag = Type.String({ minLength: 1, maxLength: 255, format: "printable" });

/** What clients may say of an image; everything else that they say is a property. */
export const WRITABLE = {
  name: orNull(Type.String({ maxLength: 255, format: "printable" })),
  visibility: Type.Optional(Type.Enum(["public", "private", "shared", "community"])),
  protected: Type.Optional(Type.Boolean()),
  os_hidden: Type.Optional(Type.Boolean()),
  min_disk: Gauge,
  min_ram: Gauge,
  disk_format: orNull(Type.Enum(["raw", "qcow2", "aki", "ari", "ami"])),
  container_format: orNull(Type.Enum(["bare", "aki", "ari", "ami"])),
  tags: Type.Optional(Type.Array(Tag, { maxItems: 128 })),
  owner: orNull(Type.String({ minLength: 1, maxLength: 255, format: "printable" })),
};

export const Writable = Type.Object(WRITABLE);
export type Writable = Static<typeof Writable>;

/** The service's own; nobody writes them. */
export const READ_ONLY: ReadonlySet<string> = new Set([
  "status",
  "created_at",
  "updated_at",
  "checksum",
  "os_hash_algo",
  "os_hash_value",
  "size",
  "virtual_size",
  "direct_url",
  "self",
  "file",
  "schema",
  "stores",
  "locations",
]);

/** No property may have such a name: it would stand for something else in an answer. */
const RESERVED = new Set(["id", "deleted", "deleted_at", "is_public", ...Object.keys(WRITABLE)]);

const MAX_PROPERTIES = 128;

/** Free properties: names of printable characters, values of text. */
export const Properties = Type.Record(
  Type.String({ pattern: "^[\\x20-\\x7e]{1,255}$" }),
  Type.String({ maxLength: 65_535 }),
  { additionalProperties: false },
);

export function isProperty(name: string): boolean {
  // The one name that an object does not keep as a key of its own.
  return name !== "__proto__" && !RESERVED.has(name) && !READ_ONLY.has(name);
}

/** Throws `image.invalid` when there are too many, or a name or value is none. */
export function checkProperties(properties: Readonly<Record<string, unknown>>): Record<string, string> {
  const entries = Object.entries(properties);
  if (entries.length > MAX_PROPERTIES) throw badImage(`An image may have at most ${MAX_PROPERTIES} properties.`);
  return Object.fromEntries(
    entries.map(([name, value]) => {
      if (name.length > 255 || !/^[\x20-\x7e]+$/.test(name)) throw badImage("A property's name is not valid.");
      if (typeof value !== "string" || value.length > 65_535) throw badImage(`The property '${name}' must be text.`);
      return [name, value];
    }),
  );
}

/** Amazon's kernel, RAM disk and machine images are the same in container and disk. */
export function checkFormats(diskFormat: string | null, containerFormat: string | null): void {
  if (diskFormat === null || containerFormat === null) return;
  const amazon = (format: string) => format === "aki" || format === "ari" || format === "ami";
  if ((amazon(diskFormat) || amazon(containerFormat)) && diskFormat !== containerFormat) {
    throw badImage(
      `Invalid mix of disk and container formats: '${diskFormat}' and '${containerFormat}' must be the same.`,
    );
  }
}

/** What documents say. */
export const FORMATS = { disk: DISK_FORMATS, container: CONTAINER_FORMATS };
