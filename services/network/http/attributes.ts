import { Type } from "typebox";
import { isoSeconds } from "../../../kernel/clock/clock.ts";

/** Names and descriptions may be empty. */
export const Text = Type.String({ maxLength: 255, format: "printable" });

/** What Neutron takes for a boolean: JSON booleans, 0 and 1, and their words in any case. */
export const Flag = Type.Union([
  Type.Boolean(),
  Type.Integer({ minimum: 0, maximum: 1 }),
  Type.String({ pattern: "^([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee]|0|1)$" }),
]);

/** The meaning of a value that passed `Flag`, as it is stored. */
export function flagValue(value: boolean | number | string): 0 | 1 {
  return value === true || value === 1 || value === "1" || String(value).toLowerCase() === "true" ? 1 : 0;
}

/** As `flagValue`, for optional attributes of an update. */
export function changedFlag(value: boolean | number | string | undefined, before: number): number {
  return value === undefined ? before : flagValue(value);
}

export const IpAddress = Type.String({ maxLength: 64 });

/** Attributes that all resources end with. */
export function commonView(
  row: { project_id: string; created_at: number; updated_at: number; revision: number },
  tags: readonly string[] | undefined,
) {
  return {
    tenant_id: row.project_id,
    project_id: row.project_id,
    created_at: isoSeconds(row.created_at),
    updated_at: isoSeconds(row.updated_at),
    revision_number: row.revision,
    tags: tags ?? [],
  };
}
