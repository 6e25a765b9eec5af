import { Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { own } from "../../../kernel/http/own.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { isDateTime, parseDateTime } from "../../../kernel/http/schemas.ts";
import type { TimeLimit } from "../store/list-conditions.ts";

const COLUMNS = ["created_at", "updated_at"] as const;
const OPERATORS: Readonly<Record<string, TimeLimit["operator"]>> = {
  eq: "=",
  neq: "!=",
  gt: ">",
  gte: ">=",
  lt: "<",
  lte: "<=",
};

/** Spread into the schema of a query. */
export const timeQuery = { created_at: Type.Optional(Type.String()), updated_at: Type.Optional(Type.String()) };

/** `created_at=gte:2026-01-01T00:00:00,lt:2026-02-01T00:00:00`, since 3.60. Throws 400 for what is no time. */
export function timeLimits(request: Pick<ApiRequest<unknown, unknown>, "query" | "version">): TimeLimit[] {
  if (request.version.below("3.60")) return [];
  const query = request.query as Readonly<Record<string, string | undefined>>;
  return COLUMNS.flatMap((column) => (query[column]?.split(",") ?? []).map((part) => limitOf(column, part)));
}

function limitOf(column: TimeLimit["column"], part: string): TimeLimit {
  const [word = "", ...rest] = part.split(":");
  const operator = own(OPERATORS, word);
  const time = operator === undefined ? part : rest.join(":");
  if (!isDateTime(time))
    throw new CloudError("invalid", "block-storage.invalid_filter", `The filter ${column} has no valid time.`);
  return { column, operator: operator ?? "=", at: parseDateTime(time) };
}
