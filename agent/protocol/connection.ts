import { type Static, Type } from "typebox";

/** Where NBD clients find a volume. Whoever reads it must understand both kinds. */
export const Connection = Type.Union([
  Type.Object({ kind: Type.Literal("unix"), path: Type.String(), export: Type.String() }),
  Type.Object({ kind: Type.Literal("inet"), host: Type.String(), port: Type.Integer(), export: Type.String() }),
]);
export type Connection = Static<typeof Connection>;
