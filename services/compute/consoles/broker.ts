/**
 * The way from the API to a guest's serial console. Both calls reach the host's agent and throw `unavailable` when the
 * host does not answer.
 */
export interface ConsoleBroker {
  /** The last `lines` lines of the console, all that is kept when null. */
  output(host: string, serverId: string, lines: number | null): Promise<string>;
  /** Makes the agent open the console's WebSocket at `/v1/agents/consoles/<sessionId>`. */
  open(host: string, serverId: string, sessionId: string): Promise<void>;
}
