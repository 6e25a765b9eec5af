import type { RawQuery } from "../../../kernel/http/request.ts";
import { invalidInput } from "../domain/faults.ts";
import type { ListRequest } from "../store/list.ts";

/** Query keys that are no filters. */
const OWN_KEYS = new Set(["limit", "marker", "page_reverse", "sort_key", "sort_dir", "fields"]);

/** Everything in a list's query that is no page, sort order or choice of fields filters by an attribute. */
export function filtersOf(query: RawQuery): Record<string, readonly string[]> {
  const filters: Record<string, readonly string[]> = {};
  for (const name of Object.keys(query)) if (!OWN_KEYS.has(name)) filters[name] = valuesOf(query, name);
  return filters;
}

/** Each `sort_key` with its `sort_dir`; without any directions all are ascending. */
export function sortOf(query: RawQuery): ListRequest["sort"] {
  const keys = valuesOf(query, "sort_key");
  const directions = valuesOf(query, "sort_dir");
  if (directions.length > 0 && directions.length !== keys.length) {
    throw invalidInput("The number of sort_keys and sort_dirs must be same.");
  }
  return keys.map((key, index) => {
    const direction = directions[index] ?? "asc";
    if (direction !== "asc" && direction !== "desc") throw invalidInput("sort_dir must be 'asc' or 'desc'.");
    return { key, descending: direction === "desc" };
  });
}

/** Only the attributes that `fields` names; all when it names none. */
export function pickFields(query: RawQuery): (view: Record<string, unknown>) => Record<string, unknown> {
  const wanted = new Set(valuesOf(query, "fields").filter((field) => field !== ""));
  if (wanted.size === 0) return (view) => view;
  return (view) => Object.fromEntries(Object.entries(view).filter(([name]) => wanted.has(name)));
}

function valuesOf(query: RawQuery, name: string): readonly string[] {
  const value = query[name];
  if (value === undefined) return [];
  return typeof value === "string" ? [value] : value;
}
