/** After so many failed tries in a row an operation is shown as stuck; it is still tried, slowly. */
export const STUCK_AFTER_ATTEMPTS = 8;

const FIRST_MS = 500;
const LONGEST_MS = 60_000;

/** Growing pauses: 0.5 s, 1 s, 2 s, … at most a minute. */
export function retryDelayMs(attempts: number): number {
  return Math.min(LONGEST_MS, FIRST_MS * 2 ** (attempts - 1));
}
