import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { Loggers, type LogLevel } from "../../../kernel/log/logger.ts";
import type { LogControl } from "../log-control.ts";

/** Loggers of several processes and agents, in this one. */
export class SeveralLoggers implements LogControl {
  readonly here = "server";
  /** Hosts that do not answer. */
  readonly silent = new Set<string>();
  readonly #byPlace = new Map<string, Loggers>();

  of(place: string): Loggers {
    let loggers = this.#byPlace.get(place);
    if (!loggers) {
      loggers = new Loggers({ destination: { write: () => undefined } });
      for (const name of ["operations", "storage.driver"]) loggers.get(name);
      this.#byPlace.set(place, loggers);
    }
    return loggers;
  }

  async ofProcess(host: string, prefix: string): Promise<Record<string, string>> {
    return this.of(`process ${host}`).levels(prefix);
  }

  async ofAgent(host: string, prefix: string): Promise<Record<string, string>> {
    if (this.silent.has(host)) throw new CloudError("unavailable", "fleet.timeout", "No answer.");
    return this.of(`agent ${host}`).levels(prefix);
  }

  async setProcess(host: string, prefix: string, level: LogLevel): Promise<void> {
    this.of(`process ${host}`).setLevel(prefix, level);
  }

  async setAgent(host: string, prefix: string, level: LogLevel): Promise<void> {
    this.of(`agent ${host}`).setLevel(prefix, level);
  }
}
