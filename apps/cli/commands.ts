import type { CommandDefinition } from "./command.ts";
import { agentCommand } from "./commands/agent.ts";
import { serverCommand } from "./commands/server.ts";
import { upCommand } from "./commands/up.ts";

/** Every command, in the order of the help. */
export const commands: readonly CommandDefinition[] = [upCommand, serverCommand, agentCommand];
