import { Type } from "typebox";

/** Text values as Block Storage takes them in bodies. */

/** A host, a backend or a pool. */
export const HostText = Type.Union([
  Type.String({ minLength: 1, maxLength: 255, pattern: "^[a-zA-Z0-9-._#@:/+\\[\\]]*$" }),
  Type.Null(),
]);

export const TextOrNull = Type.Union([Type.String({ maxLength: 255 }), Type.Null()]);

/** Not only blanks. */
export const Reason = Type.String({ minLength: 1, maxLength: 255, pattern: "\\S" });

export const Binary = Type.String({ minLength: 1, maxLength: 255 });

/** What a resource is called; blanks at the ends do not count. */
export const ResourceName = Type.String({ minLength: 1, maxLength: 255, pattern: "\\S" });

/** As in updates, where null stands for no change. */
export const NameOrBlank = Type.Union([Type.String({ maxLength: 255 }), Type.Null()]);

/** Keys and texts of a volume type. */
export const ExtraSpecs = Type.Record(
  Type.String({ pattern: "^[a-zA-Z0-9\\-_:. ]{1,255}$" }),
  Type.String({ maxLength: 255 }),
  { additionalProperties: false },
);

/** What users write to volumes and snapshots. */
export const VolumeMetadata = Type.Record(
  Type.String({ pattern: "^[a-zA-Z0-9\\-_:. ]{1,255}$" }),
  Type.String({ maxLength: 255 }),
  { additionalProperties: false },
);
