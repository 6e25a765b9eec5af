import { agentVerbs } from "../../agent/protocol/agent.ts";
import { blockStorageVerbs } from "../../agent/protocol/block-storage.ts";
import { computeVerbs } from "../../agent/protocol/compute.ts";
import * as envelope from "../../agent/protocol/envelope.ts";

/** What agents and the server say to each other, as JSON Schema. */
export function agentProtocol(): Record<string, unknown> {
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Pileus agent protocol",
    envelope: { ...envelope },
    verbs: Object.fromEntries(
      Object.entries({ ...agentVerbs, ...blockStorageVerbs, ...computeVerbs }).map(([name, { input, result }]) => [
        name,
        { input, result },
      ]),
    ),
  };
}
