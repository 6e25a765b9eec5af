import { type Route, route } from "../../../kernel/http/route.ts";
import { FORMATS, VISIBILITIES } from "./image-attributes.ts";

const text = (description: string) => ({ type: "string", description });
const nullable = (description: string) => ({ type: ["null", "string"], description });
const readOnly = <T extends object>(schema: T) => ({ ...schema, readOnly: true });
const time = (description: string) => readOnly(text(description));

const image = {
  name: "image",
  properties: {
    id: {
      ...text("An identifier for the image"),
      pattern: "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$",
    },
    name: { ...nullable("Descriptive name for the image"), maxLength: 255 },
    status: readOnly({ ...text("Status of the image"), enum: ["queued", "saving", "active", "deactivated"] }),
    visibility: { ...text("Scope of image accessibility"), enum: VISIBILITIES },
    protected: { type: "boolean", description: "If true, image will not be deletable." },
    os_hidden: { type: "boolean", description: "If true, image will not appear in default image list response." },
    checksum: readOnly(nullable("md5 hash of image contents.")),
    os_hash_algo: readOnly(nullable("Algorithm to calculate the os_hash_value")),
    os_hash_value: readOnly(
      nullable("Hexdigest of the image contents using the algorithm specified by the os_hash_algo"),
    ),
    owner: nullable("Owner of the image"),
    size: readOnly({ type: ["null", "integer"], description: "Size of image file in bytes" }),
    virtual_size: readOnly({ type: ["null", "integer"], description: "Virtual size of image in bytes" }),
    container_format: { ...nullable("Format of the container"), enum: [null, ...FORMATS.container] },
    disk_format: { ...nullable("Format of the disk"), enum: [null, ...FORMATS.disk] },
    created_at: time("Date and time of image registration"),
    updated_at: time("Date and time of the last image modification"),
    tags: {
      type: "array",
      items: { type: "string", maxLength: 255 },
      description: "List of strings related to the image",
    },
    min_ram: { type: "integer", description: "Amount of ram (in MB) required to boot image." },
    min_disk: { type: "integer", description: "Amount of disk space (in GB) required to boot image." },
    self: readOnly(text("An image self url")),
    file: readOnly(text("An image file url")),
    schema: readOnly(text("An image schema url")),
    kernel_id: {
      ...nullable("ID of image stored in Glance that should be used as the kernel when booting an AMI-style image."),
      is_base: false,
    },
    ramdisk_id: {
      ...nullable("ID of image stored in Glance that should be used as the ramdisk when booting an AMI-style image."),
      is_base: false,
    },
  },
  additionalProperties: { type: "string" },
  links: [
    { rel: "self", href: "{self}" },
    { rel: "enclosure", href: "{file}" },
    { rel: "describedby", href: "{schema}" },
  ],
};

const member = {
  name: "member",
  properties: {
    member_id: text("An identifier for the image member (tenantId)"),
    image_id: text("An identifier for the image"),
    status: { ...text("The status of this image member"), enum: ["pending", "accepted", "rejected"] },
    created_at: time("Date and time of image member creation"),
    updated_at: time("Date and time of last modification of image member"),
    schema: readOnly(text("An image member schema url")),
  },
};

const collection = (name: string, of: { name: string }) => ({
  name,
  properties: {
    [name]: { type: "array", items: of },
    first: { type: "string" },
    next: { type: "string" },
    schema: { type: "string" },
  },
  links: [
    { rel: "first", href: "{first}" },
    { rel: "next", href: "{next}" },
    { rel: "describedby", href: "{schema}" },
  ],
});

const SCHEMAS = { image, member, images: collection("images", image), members: collection("members", member) };

/** Documents by which clients know what an image is, and which ways of import there are: none. */
export const documentRoutes: readonly Route[] = [
  ...Object.entries(SCHEMAS).map(([name, schema]) =>
    route({
      name: `schemas.${name}`,
      method: "GET",
      path: `/schemas/${name}`,
      policy: "authenticated",
      handler: () => ({ body: schema }),
    }),
  ),
  route({
    name: "info.import",
    method: "GET",
    path: "/info/import",
    policy: "authenticated",
    handler: () => ({
      body: { "import-methods": { description: "Import methods available.", type: "array", value: [] } },
    }),
  }),
];
