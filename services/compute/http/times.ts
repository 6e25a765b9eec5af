import { Type } from "typebox";
import { isoMicros } from "../../../kernel/clock/clock.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { DateTime, parseDateTime } from "../../../kernel/http/schemas.ts";

export const changesSince = { "changes-since": Type.Optional(DateTime) };
export const changesBefore = { "changes-before": Type.Optional(DateTime) };

/** Epoch milliseconds of a time range. Throws 400 when it ends before it begins. */
export function timeRange(query: { "changes-since"?: string; "changes-before"?: string }): {
  changedSince: number | undefined;
  changedBefore: number | undefined;
} {
  const changedSince = time(query["changes-since"]);
  const changedBefore = time(query["changes-before"]);
  if (changedSince !== undefined && changedBefore !== undefined && changedSince > changedBefore) {
    throw new CloudError(
      "invalid",
      "compute.time_range",
      "The value of changes-since must be less than or equal to changes-before.",
    );
  }
  return { changedSince, changedBefore };
}

function time(text: string | undefined): number | undefined {
  return text === undefined ? undefined : parseDateTime(text);
}

export function microsOrNull(ms: number | null): string | null {
  return ms === null ? null : isoMicros(ms);
}
