import { Type } from "typebox";
import { verb } from "./verb.ts";

/** What every agent can be asked about itself, whatever services it provides. */
export const agentVerbs = {
  /** Levels in force of the loggers whose names start with `prefix`. */
  "agent.logLevels": verb(
    Type.Object({ prefix: Type.String() }),
    Type.Object({ levels: Type.Record(Type.String(), Type.String()) }),
  ),
};
