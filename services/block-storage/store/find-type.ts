import type { Queries } from "../../../kernel/store/store.ts";
import type { BlockStorageTables, VolumeTypeRow } from "./tables.ts";

/** By id or by name. */
export async function findType(q: Queries, idOrName: string): Promise<VolumeTypeRow | undefined> {
  const rows = await q
    .tables<BlockStorageTables>()
    .selectFrom("volume_types")
    .selectAll()
    .where((eb) => eb.or([eb("id", "=", idOrName), eb("name", "=", idOrName)]))
    .execute();
  return rows.find((row) => row.id === idOrName) ?? rows[0];
}

export function extraSpecsOf(type: VolumeTypeRow): Readonly<Record<string, string>> {
  return JSON.parse(type.extra_specs) as Record<string, string>;
}
