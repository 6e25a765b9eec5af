import type { RawQuery } from "../../../kernel/http/request.ts";
import { looseBoolean, parseDateTime } from "../../../kernel/http/schemas.ts";
import { badImage } from "../domain/faults.ts";
import type { ImageFilters, ImageListRequest, TimeOp } from "../store/image-list.ts";

const OWN_KEYS = new Set([
  ...["limit", "marker", "sort", "sort_key", "sort_dir", "tag", "os_hidden", "protected", "size_min", "size_max"],
  ...["created_at", "updated_at", "visibility", "member_status"],
]);
const VISIBILITIES = ["public", "private", "shared", "community", "all"] as const;
const MEMBER_STATUSES = ["pending", "accepted", "rejected", "all"] as const;
const TIME_OPS: readonly TimeOp[] = ["gt", "gte", "eq", "neq", "lt", "lte"];
/** Only of these may a filter name several values (`in:a,b`). */
const LISTS = new Set(["id", "name", "status", "disk_format", "container_format"]);
const ISO = /^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)?(?:Z|[+-]\d{2}:?\d{2})?$/;

/** The filters of a list. Throws `image.invalid`. */
export function filtersOf(query: RawQuery): ImageFilters {
  const visibility = oneOf(query, "visibility", VISIBILITIES);
  const sizeMin = wholeNumber(query, "size_min");
  const sizeMax = wholeNumber(query, "size_max");
  const isProtected = flag(query, "protected");
  return {
    equals: Object.fromEntries(
      Object.keys(query).flatMap((name) => (OWN_KEYS.has(name) ? [] : [[name, wanted(name, last(query, name) ?? "")]])),
    ),
    tags: all(query, "tag"),
    hidden: flag(query, "os_hidden") ?? false,
    times: [...times(query, "created_at"), ...times(query, "updated_at")],
    memberStatus: oneOf(query, "member_status", MEMBER_STATUSES) ?? "accepted",
    ...(visibility === undefined ? {} : { visibility }),
    ...(isProtected === undefined ? {} : { protected: isProtected }),
    ...(sizeMin === undefined ? {} : { sizeMin }),
    ...(sizeMax === undefined ? {} : { sizeMax }),
  };
}

/** `sort=name:asc,size` or repeated `sort_key` and `sort_dir`, not both; newest first without. */
export function sortOf(query: RawQuery): ImageListRequest["sort"] {
  const keys = all(query, "sort_key");
  const directions = all(query, "sort_dir");
  const short = last(query, "sort");
  if (short !== undefined) {
    if (keys.length + directions.length > 0) throw badImage("Old and new sorting syntax cannot be combined.");
    return short.split(",").map((part) => {
      const [key = "", direction = "desc"] = part.split(":");
      return { key, descending: isDescending(direction) };
    });
  }
  if (keys.length === 0) return [{ key: "created_at", descending: isDescending(directions[0] ?? "desc") }];
  if (directions.length > 1 && directions.length !== keys.length) {
    throw badImage("Number of sort dirs does not match the number of sort keys.");
  }
  return keys.map((key, index) => ({ key, descending: isDescending(directions[index] ?? directions[0] ?? "desc") }));
}

function isDescending(direction: string): boolean {
  if (direction === "asc" || direction === "desc") return direction === "desc";
  throw badImage(`Invalid sort direction: ${direction}`);
}

function wanted(name: string, value: string): string[] {
  if (!LISTS.has(name) || !value.startsWith("in:")) return [value];
  return value
    .slice(3)
    .split(",")
    .map((each) => each.replace(/^"(.*)"$/, "$1"));
}

function times(query: RawQuery, column: "created_at" | "updated_at"): ImageFilters["times"][number][] {
  const value = last(query, column);
  if (value === undefined) return [];
  const cut = value.indexOf(":");
  const named = TIME_OPS.find((op) => op === value.slice(0, cut));
  const text = named ? value.slice(cut + 1) : value;
  const at = ISO.test(text) ? parseDateTime(text) : Number.NaN;
  if (Number.isNaN(at)) throw badImage(`'${value}' is not a time to filter ${column} by.`);
  return [{ column, op: named ?? "eq", at }];
}

function oneOf<T extends string>(query: RawQuery, name: string, values: readonly T[]): T | undefined {
  const value = last(query, name);
  if (value === undefined) return undefined;
  const known = values.find((each) => each === value);
  if (known === undefined) throw badImage(`Invalid ${name} value: ${value}`);
  return known;
}

function flag(query: RawQuery, name: string): boolean | undefined {
  const value = last(query, name);
  const known = value === undefined ? undefined : looseBoolean(value);
  if (value !== undefined && known === undefined) throw badImage(`'${value}' is not a boolean (${name}).`);
  return known;
}

function wholeNumber(query: RawQuery, name: string): number | undefined {
  const value = last(query, name);
  if (value !== undefined && !/^\d{1,15}$/.test(value)) throw badImage(`'${value}' is not a whole number (${name}).`);
  return value === undefined ? undefined : Number(value);
}

function all(query: RawQuery, name: string): readonly string[] {
  const value = query[name];
  if (value === undefined) return [];
  return typeof value === "string" ? [value] : value;
}

function last(query: RawQuery, name: string): string | undefined {
  return all(query, name).at(-1);
}
