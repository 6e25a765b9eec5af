import type { Duplex } from "node:stream";
import { type Clock, seconds, type Timer } from "../../../kernel/clock/clock.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { IdSource } from "../../../kernel/ids/ids.ts";

/** A client that waits for the agent's end of its console. */
export interface ConsoleSession {
  readonly id: string;
  /** Resolves when the agent has connected; rejects as `unavailable` when it does not in time. */
  readonly agent: Promise<Duplex>;
}

interface Waiting {
  readonly host: string;
  readonly timer: Timer;
  resolve(end: Duplex): void;
}

const PATIENCE_MS = seconds(15);

/** Brings together the two ends of serial consoles: the client's and the agent's. Sessions live in this process only. */
export class ConsoleSessions {
  readonly #waiting = new Map<string, Waiting>();
  readonly #clock: Clock;
  readonly #ids: IdSource;

  constructor(clock: Clock, ids: IdSource) {
    this.#clock = clock;
    this.#ids = ids;
  }

  /** Only the agent of `host` may join. */
  begin(host: string): ConsoleSession {
    const id = this.#ids.uuid();
    const { promise, resolve, reject } = Promise.withResolvers<Duplex>();
    const timer = this.#clock.after(PATIENCE_MS, () => {
      this.#waiting.delete(id);
      reject(new CloudError("unavailable", "compute.console_timeout", "The host did not open the console in time."));
    });
    // Whoever began the session may fail before it looks at this.
    promise.catch(() => {});
    this.#waiting.set(id, { host, timer, resolve });
    return { id, agent: promise };
  }

  /** The agent's end has arrived. Throws `notFound` when nobody waits for it. */
  join(host: string, sessionId: string, end: Duplex): void {
    const waiting = this.#waiting.get(sessionId);
    if (!waiting || waiting.host !== host) {
      throw new CloudError("notFound", "compute.console_not_found", "Nobody waits for this console.");
    }
    this.#waiting.delete(sessionId);
    waiting.timer.cancel();
    waiting.resolve(end);
  }

  /** True while a client waits for the agent of `host`. */
  isAwaited(host: string, sessionId: string): boolean {
    return this.#waiting.get(sessionId)?.host === host;
  }

  /** Gives a session up. */
  end(sessionId: string): void {
    this.#waiting.get(sessionId)?.timer.cancel();
    this.#waiting.delete(sessionId);
  }
}

/** Passes bytes in both directions until either end closes, then closes the other. */
export function connectEnds(a: Duplex, b: Duplex): void {
  a.pipe(b);
  b.pipe(a);
  for (const [one, other] of [
    [a, b],
    [b, a],
  ] as const) {
    one.on("error", () => other.destroy());
    one.on("close", () => other.destroy());
  }
}
