import { Type } from "typebox";

/** Schemas of attributes that several resources share. */
export const ShortName = Type.String({ minLength: 1, maxLength: 64, format: "name" });
export const LongName = Type.String({ minLength: 1, maxLength: 255, format: "name" });
export const Text = Type.Union([Type.String(), Type.Null()]);
export const ResourceId = Type.String({ minLength: 1, maxLength: 64 });
export const OptionalId = Type.Union([ResourceId, Type.Null()]);
export const Tag = Type.String({ minLength: 1, maxLength: 255, pattern: "^[^,/]*$" });
export const Tags = Type.Array(Tag, { maxItems: 80, uniqueItems: true });

/** `immutable` guards projects, domains and roles. */
export const Options = Type.Object({ immutable: Type.Optional(Type.Union([Type.Boolean(), Type.Null()])) });
