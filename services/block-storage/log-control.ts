import { agentVerbs } from "../../agent/protocol/agent.ts";
import type { Fleet } from "../../kernel/fleet/fleet.ts";
import type { ProcessLogLevels } from "../../kernel/fleet/process-log-levels.ts";
import type { IdSource } from "../../kernel/ids/ids.ts";
import type { LogLevel } from "../../kernel/log/logger.ts";

export type LogLevels = Readonly<Record<string, string>>;

/** The loggers of the server's processes and of the agents, by the host that they run on. Reads throw `unavailable` when nobody answers. */
export interface LogControl {
  /** The host of this process. */
  readonly here: string;
  ofProcess(host: string, prefix: string): Promise<LogLevels>;
  ofAgent(host: string, prefix: string): Promise<LogLevels>;
  setProcess(host: string, prefix: string, level: LogLevel): Promise<void>;
  setAgent(host: string, prefix: string, level: LogLevel): Promise<void>;
}

export function logControl(fleet: Fleet, processes: ProcessLogLevels, ids: IdSource, timeoutMs: number): LogControl {
  return {
    here: processes.host,
    ofProcess: (host, prefix) => processes.levelsOf(host, prefix),
    async ofAgent(host, prefix) {
      const asked = { host, subject: host, id: ids.uuid(), timeoutMs };
      return (await fleet.commands.ask(agentVerbs, "agent.logLevels", { prefix }, asked)).levels;
    },
    setProcess: (host, prefix, level) => processes.setLevel(host, prefix, level),
    setAgent: (host, prefix, level) => fleet.setLogLevels(host, { [prefix]: level }),
  };
}
