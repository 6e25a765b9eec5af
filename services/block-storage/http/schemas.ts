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
