import { Type } from "typebox";
import { byVersion } from "../../../kernel/http/route.ts";
import { BodyBoolean, digits, TrimmedName } from "../../../kernel/http/schemas.ts";

const MAX_INT = 0x7fff_ffff;
const Closed = { additionalProperties: false };

/** Numbers and texts of digits, dots, dashes, underscores and inner blanks. */
const FlavorId = Type.Union([
  Type.String({ minLength: 1, maxLength: 255, pattern: "^(?! )[a-zA-Z0-9. _-]+(?<! )$" }),
  Type.Integer(),
  Type.Null(),
]);

/** Up to 65535 characters, line breaks included. */
const FlavorDescription = Type.Union([
  Type.String({ maxLength: 65_535, pattern: "^[^\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f]*$" }),
  Type.Null(),
]);

const flavorFields = {
  name: TrimmedName,
  id: Type.Optional(FlavorId),
  ram: digits(1, MAX_INT),
  vcpus: digits(1, MAX_INT),
  disk: digits(0, MAX_INT),
  "OS-FLV-EXT-DATA:ephemeral": Type.Optional(digits(0, MAX_INT)),
  swap: Type.Optional(digits(0, MAX_INT)),
  "os-flavor-access:is_public": Type.Optional(BodyBoolean),
};
const rxtxFactor = Type.Optional(
  Type.Union([
    Type.Number({ exclusiveMinimum: 0, maximum: 3.4e38 }),
    Type.String({ pattern: "^[0-9]{1,15}(\\.[0-9]{1,15})?$" }),
  ]),
);

/** Everything that some version takes; what a version does not know is refused by its own schema. */
const AnyFlavor = Type.Object(
  { ...flavorFields, rxtx_factor: rxtxFactor, description: Type.Optional(FlavorDescription) },
  Closed,
);
const body = <S extends typeof AnyFlavor>(schema: S) => Type.Object({ flavor: schema }, Closed);
type Body = ReturnType<typeof body<typeof AnyFlavor>>;

/** `POST /flavors` */
export const createFlavorBody = byVersion<Body>({
  "2.1": Type.Object({ flavor: Type.Object({ ...flavorFields, rxtx_factor: rxtxFactor }, Closed) }, Closed) as Body,
  "2.55": body(AnyFlavor),
  "2.102": Type.Object(
    { flavor: Type.Object({ ...flavorFields, description: Type.Optional(FlavorDescription) }, Closed) },
    Closed,
  ) as Body,
});

/** `PUT /flavors/{id}` */
export const updateFlavorBody = Type.Object(
  { flavor: Type.Object({ description: FlavorDescription }, Closed) },
  Closed,
);

const SPEC_KEY = "^[a-zA-Z0-9-_:. ]{1,255}$";
const SpecValue = Type.Union([Type.String({ maxLength: 255 }), Type.Number()]);

/** `POST /flavors/{id}/os-extra_specs` */
export const extraSpecsBody = Type.Object(
  { extra_specs: Type.Record(Type.String({ pattern: SPEC_KEY }), SpecValue, Closed) },
  Closed,
);

/** `PUT /flavors/{id}/os-extra_specs/{key}` */
export const extraSpecBody = Type.Record(Type.String({ pattern: SPEC_KEY }), SpecValue, {
  ...Closed,
  minProperties: 1,
  maxProperties: 1,
});

const text = Type.Optional(Type.String());

/** Lists of flavors. */
export const flavorQuery = Type.Object({
  limit: Type.Optional(Type.Integer({ minimum: 0 })),
  marker: text,
  is_public: text,
  minRam: Type.Optional(Type.Integer()),
  minDisk: Type.Optional(Type.Integer()),
  sort_key: text,
  sort_dir: text,
});

/** The value of `addTenantAccess` and `removeTenantAccess`. */
export const tenantBody = Type.Object({ tenant: Type.String({ minLength: 1, maxLength: 255 }) }, Closed);
