import { type Static, Type } from "typebox";
import type { Queries } from "../../../kernel/store/store.ts";
import { tagsOf } from "../store/projects.ts";
import type { ProjectRow } from "../store/tables.ts";
import { Options, ShortName, Tags, Text } from "./fields.ts";
import { extrasOf, mergedExtra, mergedOptions } from "./members.ts";

/** What domains and projects share, as they are kept in one table. */

export const sharedAttributes = {
  description: Type.Optional(Text),
  enabled: Type.Optional(Type.Boolean()),
  tags: Type.Optional(Tags),
  options: Type.Optional(Options),
};
const Named = Type.Object({ name: ShortName, ...sharedAttributes });
const Changed = Type.Object({ name: Type.Optional(ShortName), ...sharedAttributes });

/** Of a new row; `known` are the attributes that the API has a meaning for. */
export function newFields(wanted: Static<typeof Named>, known: readonly string[]) {
  return {
    name: wanted.name,
    description: wanted.description ?? "",
    enabled: wanted.enabled ?? true,
    tags: wanted.tags ?? [],
    options: mergedOptions("{}", wanted.options),
    extra: JSON.stringify(extrasOf(wanted, known)),
  };
}

/** What an update changes in a row. */
export function changedFields(row: ProjectRow, wanted: Static<typeof Changed>, known: readonly string[]) {
  return {
    ...(wanted.name === undefined ? {} : { name: wanted.name }),
    ...(wanted.description === undefined ? {} : { description: wanted.description ?? "" }),
    ...(wanted.enabled === undefined ? {} : { enabled: wanted.enabled }),
    ...(wanted.tags === undefined ? {} : { tags: wanted.tags }),
    options: mergedOptions(row.options, wanted.options),
    extra: mergedExtra(row.extra, extrasOf(wanted, known)),
  };
}

/** The views of some rows with their tags, which are read in one query. */
export async function withTags<View>(
  queries: Queries,
  rows: readonly ProjectRow[],
  view: (row: ProjectRow, tags: readonly string[]) => View,
): Promise<View[]> {
  const tags = await tagsOf(
    queries,
    rows.map((row) => row.id),
  );
  return rows.map((row) => view(row, tags.get(row.id) ?? []));
}
