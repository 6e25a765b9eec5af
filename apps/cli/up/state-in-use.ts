import { CloudError } from "../../../kernel/errors/cloud-error.ts";

/** A second start, or a reset, of a cloud that runs. */
export function stateInUse(stateDir: string, reset: boolean): CloudError {
  const advice = reset
    ? "Stop it first (Ctrl-C where it runs), then reset."
    : "Use that one, or choose another folder with --state and another address with --listen.";
  return new CloudError("conflict", "server.state_in_use", `A cloud already runs over ${stateDir}. ${advice}`);
}
