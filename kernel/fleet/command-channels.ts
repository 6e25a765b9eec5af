/** Payload: host (or `@cluster`) for which commands were added or revoked. */
export const COMMANDS_CHANNEL = "fleet.commands";
/** Payload: key of a command that has ended. */
export const RESULTS_CHANNEL = "fleet.results";
/** Payload: JSON of CommandProgress. */
export const PROGRESS_CHANNEL = "fleet.progress";
