import { Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { own } from "../../../kernel/http/own.ts";
import { type Page, pageOf, pageQuery } from "../../../kernel/http/pagination.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import type { ListPage, Sort, SortColumn } from "../store/listing.ts";

/** Pages and order of every list of Block Storage; spread into the schema of a query. */
export const listQuery = {
  ...pageQuery,
  offset: Type.Optional(Type.Integer({ minimum: 0, maximum: 0x7fff_ffff })),
  sort: Type.Optional(Type.String()),
  sort_key: Type.Optional(Type.String()),
  sort_dir: Type.Optional(Type.String()),
};

export interface ListQuery {
  readonly limit?: number;
  readonly marker?: string;
  readonly offset?: number;
  readonly sort?: string;
  readonly sort_key?: string;
  readonly sort_dir?: string;
}

export interface AskedPage extends Page, Pick<ListPage, "offset" | "sort"> {}

/** The page that is asked for. Throws 400 for a column or direction that is none. */
export function askedPage(
  request: ApiRequest<unknown, ListQuery>,
  columns: Readonly<Record<string, SortColumn>>,
  maxLimit: number,
): AskedPage {
  return { ...pageOf(request, maxLimit), offset: request.query.offset ?? 0, sort: sortOf(request.query, columns) };
}

/** `sort=size:asc,name`, or the older `sort_key` and `sort_dir`; the direction is `desc` where none is given. */
function sortOf(query: ListQuery, columns: Readonly<Record<string, SortColumn>>): Sort[] {
  const { sort, sort_key: key, sort_dir: direction } = query;
  if (sort === undefined) {
    return key === undefined && direction === undefined ? [] : [sortBy(columns, key ?? "created_at", direction)];
  }
  if (key !== undefined || direction !== undefined)
    throw invalidSort("The 'sort_key' and 'sort_dir' parameters cannot be used together with 'sort'.");
  return sort.split(",").map((part) => {
    const [name = "", way] = part.split(":");
    return sortBy(columns, name.trim(), way);
  });
}

function sortBy(columns: Readonly<Record<string, SortColumn>>, name: string, direction = "desc"): Sort {
  const by = own(columns, name);
  if (!by) throw invalidSort(`Sort key '${name}' is not valid.`);
  if (direction !== "asc" && direction !== "desc") throw invalidSort("Sort direction must be 'asc' or 'desc'.");
  return { by, descending: direction === "desc" };
}

function invalidSort(message: string): CloudError {
  return new CloudError("invalid", "block-storage.invalid_sort", message);
}
