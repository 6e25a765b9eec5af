import { isoMicros } from "../../../kernel/clock/clock.ts";

/** `YYYY-MM-DDTHH:MM:SS.ffffffZ`, the form of tokens. */
export function tokenTime(ms: number): string {
  return `${isoMicros(ms)}Z`;
}

/** Passwords and application credentials show their end without a zone. */
export function optionalMicros(ms: number | null): string | null {
  return ms === null ? null : isoMicros(ms);
}
