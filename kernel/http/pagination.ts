import { Type } from "typebox";
import type { PaginationRule } from "./face.ts";
import type { ApiRequest, RawQuery } from "./request.ts";

/** Spread into the query schema of a list: `Type.Object({ ...pageQuery, name: … })`. */
export const pageQuery = {
  limit: Type.Optional(Type.Integer({ minimum: 0 })),
  marker: Type.Optional(Type.String({ maxLength: 255 })),
};

export interface Page {
  /** Rows to read at most; 0 means an empty list. */
  readonly limit: number;
  /** Id of the last row that the client has seen. The service answers 400 or 404 when it does not know it. */
  readonly marker: string | undefined;
}

/** The page a client asked for; its limit is cut to `maxLimit`, the face's when absent. */
export function pageOf(
  request: ApiRequest<unknown, { limit?: number; marker?: string }>,
  maxLimit = request.face.pagination.maxLimit,
): Page {
  const { limit, marker } = request.query;
  return { limit: Math.min(limit ?? maxLimit, maxLimit), marker };
}

/**
 * The body of a list in the face's style: the rows under `collection`, and a link to the next page when this one is full.
 * `links` is the key of the links where it is not the style's own (Compute's instance actions).
 */
export function pageBody<Row>(
  request: Pick<ApiRequest, "face" | "path" | "rawQuery" | "urls">,
  collection: string,
  rows: readonly Row[],
  page: { limit: number; markerOf(row: Row): string; linksKey?: string },
): Record<string, unknown> {
  const rule = request.face.pagination;
  const last = rows.at(-1);
  const full = last !== undefined && rows.length >= page.limit;
  const next = full ? queryText(request.rawQuery, page.markerOf(last)) : undefined;
  return { [collection]: rows, ...links(request, rule, collection, next, page.linksKey) };
}

/** As `pageBody`, of rows that are JSON already; `marker` is the last row's. */
export function renderedPage(
  request: Pick<ApiRequest, "face" | "path" | "rawQuery" | "urls">,
  collection: string,
  rows: readonly Buffer[],
  page: { limit: number; marker: string | undefined },
): Buffer {
  const full = page.marker !== undefined && rows.length >= page.limit;
  const next = full ? queryText(request.rawQuery, page.marker) : undefined;
  const rest = JSON.stringify(links(request, request.face.pagination, collection, next, undefined)).slice(1);
  const parts: Buffer[] = [Buffer.from(`{${JSON.stringify(collection)}:[`)];
  for (const row of rows) parts.push(row, COMMA);
  if (rows.length > 0) parts.pop();
  parts.push(Buffer.from(rest === "}" ? "]}" : `],${rest}`));
  return Buffer.concat(parts);
}

const COMMA = Buffer.from(",");

function links(
  request: Pick<ApiRequest, "face" | "path" | "rawQuery" | "urls">,
  rule: PaginationRule,
  collection: string,
  next: string | undefined,
  linksKey: string | undefined,
): Record<string, unknown> {
  const path = request.path.replace(/\/+$/, "");
  const href = (query: string) => `${request.urls.base}${path}${query === "" ? "" : `?${query}`}`;
  switch (rule.style) {
    case "object": {
      const self = href(queryText(request.rawQuery, undefined));
      return { links: { next: next === undefined ? null : href(next), self, previous: null } };
    }
    case "path": {
      const local = path.slice(request.face.root.length);
      const { marker: _, ...rest } = request.rawQuery;
      const start = queryText(rest, undefined);
      const first = start === "" ? local : `${local}?${start}`;
      return next === undefined ? { first } : { first, next: `${local}?${next}` };
    }
    default: {
      if (next === undefined) return {};
      const key = linksKey ?? (rule.style === "links" ? "links" : `${collection}_links`);
      return { [key]: [{ rel: "next", href: href(next) }] };
    }
  }
}

/** All parameters sorted by name, with the marker replaced when one is given. */
function queryText(query: RawQuery, marker: string | undefined): string {
  const parameters = new URLSearchParams();
  const names = Object.keys(query).filter((name) => marker === undefined || name !== "marker");
  if (marker !== undefined) names.push("marker");
  for (const name of names.sort()) {
    const value = name === "marker" && marker !== undefined ? marker : query[name];
    for (const each of Array.isArray(value) ? value : [value ?? ""]) parameters.append(name, each);
  }
  return parameters.toString();
}
