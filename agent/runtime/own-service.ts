import { agentVerbs } from "../protocol/agent.ts";
import type { InputOf } from "../protocol/verb.ts";
import type { AgentService } from "./agent-service.ts";

/** The agent's own part: what it can be asked about itself. It shows as no service record. */
export function ownService(loggers: { levels(prefix: string): Readonly<Record<string, string>> }): AgentService {
  const definition = agentVerbs["agent.logLevels"];
  return {
    service: "agent",
    verbs: new Map([
      [
        "agent.logLevels",
        {
          definition,
          mode: "read",
          // The executor has checked the input against the definition.
          run: async (input) => ({ levels: loggers.levels((input as InputOf<typeof definition>).prefix) }),
        },
      ],
    ]),
    factsChange: false,
    provided: async () => [],
    inventory: async () => [],
    subscribe: () => () => {},
    close: async () => {},
  };
}
