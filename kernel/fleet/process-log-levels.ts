import { type Clock, sleep } from "../clock/clock.ts";
import { CloudError } from "../errors/cloud-error.ts";
import type { IdSource } from "../ids/ids.ts";
import type { Loggers, LogLevel } from "../log/logger.ts";
import type { Store } from "../store/store.ts";

/** Payloads are JSON: which processes, and what they are to do. */
const SET_CHANNEL = "fleet.process-log-levels.set";
const ASK_CHANNEL = "fleet.process-log-levels.ask";
const ANSWER_CHANNEL = "fleet.process-log-levels.answer";

const ANSWER_WITHIN_MS = 5_000;

type Levels = Readonly<Record<string, string>>;

/** Log levels of the server's own processes, by the host that each runs on: any of them can be asked about all. */
export class ProcessLogLevels {
  /** Of this process. */
  readonly host: string;
  readonly #options: { store: Store; clock: Clock; ids: IdSource; loggers: Loggers };
  readonly #waiting = new Map<string, (levels: Levels) => void>();
  readonly #unlisten: (() => void)[];

  constructor(host: string, options: { store: Store; clock: Clock; ids: IdSource; loggers: Loggers }) {
    this.host = host;
    this.#options = options;
    const { store, loggers } = options;
    this.#unlisten = [
      store.listen(SET_CHANNEL, (payload) => {
        const wanted = JSON.parse(payload) as { host: string; prefix: string; level: LogLevel };
        if (wanted.host === host) loggers.setLevel(wanted.prefix, wanted.level);
      }),
      store.listen(ASK_CHANNEL, (payload) => {
        const asked = JSON.parse(payload) as { host: string; prefix: string; id: string };
        if (asked.host !== host) return;
        const answer = JSON.stringify({ id: asked.id, levels: loggers.levels(asked.prefix) });
        // Whoever asked gives up by itself when the answer cannot be sent.
        store.tx(async (t) => t.notify(ANSWER_CHANNEL, answer)).catch(() => undefined);
      }),
      store.listen(ANSWER_CHANNEL, (payload) => {
        const { id, levels } = JSON.parse(payload) as { id: string; levels: Levels };
        this.#waiting.get(id)?.(levels);
      }),
    ];
  }

  /** Levels of the loggers whose names start with `prefix`. Throws `unavailable` when no process on that host answers. */
  async levelsOf(host: string, prefix: string): Promise<Levels> {
    const { store, clock, ids, loggers } = this.#options;
    if (host === this.host) return loggers.levels(prefix);
    const id = ids.uuid();
    const { promise, resolve } = Promise.withResolvers<Levels>();
    this.#waiting.set(id, resolve);
    const late = new AbortController();
    try {
      await store.tx(async (t) => t.notify(ASK_CHANNEL, JSON.stringify({ host, prefix, id })));
      const silence = sleep(clock, ANSWER_WITHIN_MS, late.signal).then(() => {
        throw new CloudError("unavailable", "fleet.process_silent", `The server's process on ${host} does not answer.`);
      });
      silence.catch(() => undefined);
      return await Promise.race([promise, silence]);
    } finally {
      late.abort();
      this.#waiting.delete(id);
    }
  }

  /** For every process on that host. */
  async setLevel(host: string, prefix: string, level: LogLevel): Promise<void> {
    await this.#options.store.tx(async (t) => t.notify(SET_CHANNEL, JSON.stringify({ host, prefix, level })));
  }

  close(): void {
    for (const unlisten of this.#unlisten) unlisten();
  }
}
