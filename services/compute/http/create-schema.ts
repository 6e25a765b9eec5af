import { type Static, type TSchema, Type } from "typebox";
import { byVersion } from "../../../kernel/http/route.ts";
import {
  BodyBoolean,
  Description,
  digits,
  HostName,
  Metadata,
  TrimmedName,
  UuidLike,
} from "../../../kernel/http/schemas.ts";

const closed = { additionalProperties: false };
const Nullable = <S extends TSchema>(schema: S) => Type.Union([schema, Type.Null()]);

export const DiskConfig = Type.Enum(["AUTO", "MANUAL"]);
export const Tag = Type.String({ minLength: 1, maxLength: 60, pattern: "^[^,/]*$" });
export const TagList = Type.Array(Tag, { maxItems: 50, uniqueItems: true });
/** A host name of the guest; from 2.94 it may have a domain. */
export const Hostname = Type.String({
  minLength: 2,
  maxLength: 63,
  pattern: "^[a-zA-Z0-9]+[a-zA-Z0-9-]*[a-zA-Z0-9]+$",
});
export const FullHostname = Type.String({
  minLength: 2,
  maxLength: 255,
  pattern: "^[a-zA-Z0-9]+[a-zA-Z0-9-.]*[a-zA-Z0-9]+$",
});
export const Ipv4 = Type.String({ pattern: "^(\\d{1,3}\\.){3}\\d{1,3}$" });
export const Ipv6 = Type.String({ pattern: "^[0-9a-fA-F:.]{2,45}$" });

const NETWORK = {
  uuid: Type.Optional(UuidLike),
  port: Type.Optional(Nullable(UuidLike)),
  fixed_ip: Type.Optional(Type.String({ maxLength: 45 })),
};
const UntaggedNetwork = Type.Object(NETWORK, closed);
const Network = Type.Object({ ...NETWORK, tag: Type.Optional(Tag) }, closed);
const Choice = Type.Enum(["auto", "none"]);

const BlockDevice = Type.Object(
  {
    boot_index: Type.Optional(Type.Union([Type.Integer(), Type.String({ pattern: "^-?[0-9]{1,9}$" }), Type.Null()])),
    uuid: Type.Optional(Nullable(Type.String({ maxLength: 255 }))),
    image_id: Type.Optional(Type.String({ maxLength: 255 })),
    source_type: Type.Optional(Type.Enum(["volume", "image", "snapshot", "blank"])),
    destination_type: Type.Optional(Type.Enum(["volume", "local"])),
    delete_on_termination: Type.Optional(BodyBoolean),
    device_name: Type.Optional(Nullable(Type.String({ maxLength: 255 }))),
    volume_size: Type.Optional(digits(1)),
    guest_format: Type.Optional(Nullable(Type.String({ maxLength: 255 }))),
    disk_bus: Type.Optional(Nullable(Type.String({ maxLength: 255 }))),
    device_type: Type.Optional(Nullable(Type.String({ maxLength: 255 }))),
    no_device: Type.Optional(Type.Unknown()),
    tag: Type.Optional(Tag),
    volume_type: Type.Optional(Nullable(Type.String({ maxLength: 255 }))),
  },
  closed,
);

const LegacyDevice = Type.Object({
  device_name: Type.Optional(Nullable(Type.String({ maxLength: 255 }))),
  virtual_name: Type.Optional(Nullable(Type.String({ maxLength: 255 }))),
  volume_id: Type.Optional(Nullable(UuidLike)),
  snapshot_id: Type.Optional(Nullable(UuidLike)),
  volume_size: Type.Optional(Nullable(Type.Union([digits(1), Type.Literal("")]))),
  delete_on_termination: Type.Optional(Nullable(BodyBoolean)),
  no_device: Type.Optional(Type.Unknown()),
});

const SameHosts = Type.Union([Type.Array(UuidLike), UuidLike]);
export const SchedulerHints = Type.Object({
  group: Type.Optional(UuidLike),
  different_host: Type.Optional(SameHosts),
  same_host: Type.Optional(SameHosts),
});

const BASE = {
  name: TrimmedName,
  flavorRef: Type.Union([Type.String({ minLength: 1, maxLength: 1024 }), Type.Integer()]),
  imageRef: Type.Optional(Type.String({ maxLength: 1024 })),
  adminPass: Type.Optional(Type.String({ maxLength: 255 })),
  metadata: Type.Optional(Metadata),
  networks: Type.Optional(Type.Union([Type.Array(Network), Choice])),
  "OS-DCF:diskConfig": Type.Optional(DiskConfig),
  accessIPv4: Type.Optional(Ipv4),
  accessIPv6: Type.Optional(Ipv6),
  availability_zone: Type.Optional(Type.String({ minLength: 1, maxLength: 255 })),
  block_device_mapping: Type.Optional(Type.Array(LegacyDevice)),
  block_device_mapping_v2: Type.Optional(Type.Array(BlockDevice)),
  config_drive: Type.Optional(Type.Union([BodyBoolean, Type.Literal("")])),
  key_name: Type.Optional(Type.String({ minLength: 1, maxLength: 255 })),
  min_count: Type.Optional(digits(1)),
  max_count: Type.Optional(digits(1)),
  return_reservation_id: Type.Optional(BodyBoolean),
  security_groups: Type.Optional(
    Type.Array(Type.Object({ name: Type.String({ minLength: 1, maxLength: 255 }) }, closed)),
  ),
  user_data: Type.Optional(Nullable(Type.String({ format: "base64", maxLength: 65_535 }))),
};
const PERSONALITY = {
  personality: Type.Optional(Type.Array(Type.Object({ path: Type.String(), contents: Type.String() }, closed))),
};
const DESCRIPTION = { description: Type.Optional(Description) };
const TAGS = { tags: Type.Optional(TagList) };
const CERTIFICATES = {
  trusted_image_certificates: Type.Optional(Nullable(Type.Array(Type.String({ minLength: 1 }), { maxItems: 50 }))),
};
const DESTINATION = { host: Type.Optional(HostName), hypervisor_hostname: Type.Optional(HostName) };

const Newest = Type.Object(
  {
    ...BASE,
    ...PERSONALITY,
    ...DESCRIPTION,
    ...TAGS,
    ...CERTIFICATES,
    ...DESTINATION,
    hostname: Type.Optional(FullHostname),
  },
  closed,
);

const body = (server: TSchema) =>
  Type.Object(
    {
      server,
      "os:scheduler_hints": Type.Optional(SchedulerHints),
      "OS-SCH-HNT:scheduler_hints": Type.Optional(SchedulerHints),
    },
    closed,
  ) as typeof NewestBody;

const NewestBody = Type.Object(
  {
    server: Newest,
    "os:scheduler_hints": Type.Optional(SchedulerHints),
    "OS-SCH-HNT:scheduler_hints": Type.Optional(SchedulerHints),
  },
  closed,
);

const LISTED = { networks: Type.Optional(Type.Array(Network)) };
const LISTED_UNTAGGED = { networks: Type.Optional(Type.Array(UntaggedNetwork)) };
const CHOSEN = { networks: Type.Union([Type.Array(Network), Choice]) };
const CHOSEN_UNTAGGED = { networks: Type.Union([Type.Array(UntaggedNetwork), Choice]) };

const SINCE_2_52 = { ...BASE, ...CHOSEN, ...DESCRIPTION, ...TAGS };
const SINCE_2_74 = { ...SINCE_2_52, ...CERTIFICATES, ...DESTINATION };

/** The body of a create, by the microversions that changed it. */
export const createBody = byVersion<typeof NewestBody>({
  "2.1": body(Type.Object({ ...BASE, ...LISTED_UNTAGGED, ...PERSONALITY }, closed)),
  "2.19": body(Type.Object({ ...BASE, ...LISTED_UNTAGGED, ...PERSONALITY, ...DESCRIPTION }, closed)),
  "2.32": body(Type.Object({ ...BASE, ...LISTED, ...PERSONALITY, ...DESCRIPTION }, closed)),
  "2.37": body(Type.Object({ ...BASE, ...CHOSEN_UNTAGGED, ...PERSONALITY, ...DESCRIPTION }, closed)),
  "2.42": body(Type.Object({ ...BASE, ...CHOSEN, ...PERSONALITY, ...DESCRIPTION }, closed)),
  "2.52": body(Type.Object({ ...SINCE_2_52, ...PERSONALITY }, closed)),
  "2.57": body(Type.Object(SINCE_2_52, closed)),
  "2.63": body(Type.Object({ ...SINCE_2_52, ...CERTIFICATES }, closed)),
  "2.74": body(Type.Object(SINCE_2_74, closed)),
  "2.90": body(Type.Object({ ...SINCE_2_74, hostname: Type.Optional(Hostname) }, closed)),
  "2.94": body(Type.Object({ ...SINCE_2_74, hostname: Type.Optional(FullHostname) }, closed)),
});
export type CreateBody = Static<typeof NewestBody>;
