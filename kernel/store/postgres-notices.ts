import pg from "pg";
import type { Clock, Timer } from "../clock/clock.ts";
import { errorFields, type Logger } from "../log/logger.ts";
import { RESYNC_CHANNEL } from "./store.ts";

export interface NoticesOptions {
  readonly url: string;
  readonly log: Logger;
  readonly clock: Clock;
  readonly heard: (channel: string, payload: string) => void;
}

/** All notifications share one PostgreSQL channel: the name is ours, the payload says which of our channels is meant. */
const PG_CHANNEL = "pileus";
const RETRY_MS = 1000;
/** PostgreSQL takes payloads that are shorter than this. */
const PAYLOAD_LIMIT = 8000;

/**
 * Notifications between the processes on one database. They are sent after their transaction, many at once, by a connection
 * of their own: commits of transactions that notify wait for each other in PostgreSQL, fsync included.
 */
export class PostgresNotices {
  readonly #options: NoticesOptions;
  readonly #sender: pg.Pool;
  #waiting = new Set<string>();
  #sending: Promise<void> | undefined;
  #listener: pg.Client | undefined;
  #relisten: Timer | undefined;
  #resend: Timer | undefined;
  #closed = false;

  constructor(options: NoticesOptions) {
    this.#options = options;
    // Nobody waits for a notification to be durable.
    this.#sender = new pg.Pool({ connectionString: options.url, max: 1, options: "-c synchronous_commit=off" });
    this.#sender.on("error", (error) => options.log.warn(errorFields(error), "lost the connection for notifications"));
  }

  /** What `send` takes. Throws when it is too long. */
  static message(channel: string, payload: string): string {
    const message = `${channel} ${payload}`;
    if (Buffer.byteLength(message) >= PAYLOAD_LIMIT) throw new Error(`a notification on ${channel} is too long`);
    return message;
  }

  send(messages: Iterable<string>): void {
    for (const message of messages) this.#waiting.add(message);
    if (this.#waiting.size > 0 && !this.#resend) this.#sending ??= this.#sendAll();
  }

  async #sendAll(): Promise<void> {
    while (this.#waiting.size > 0) {
      const batch = this.#waiting;
      this.#waiting = new Set();
      try {
        await this.#sender.query("SELECT pg_notify($1, message) FROM unnest($2::text[]) AS message", [
          PG_CHANNEL,
          [...batch],
        ]);
      } catch (error) {
        this.#options.log.warn(errorFields(error), "cannot send notifications yet");
        this.#waiting = new Set([...batch, ...this.#waiting]);
        if (!this.#closed) this.#resend = this.#options.clock.after(RETRY_MS, () => this.#sendAgain());
        break;
      }
    }
    this.#sending = undefined;
  }

  #sendAgain(): void {
    this.#resend = undefined;
    this.send([]);
  }

  /** Rejects when it cannot. A connection that ends after this has resolved is replaced. */
  async listen(): Promise<void> {
    const { url, log, heard } = this.#options;
    const client = new pg.Client({ connectionString: url, keepAlive: true });
    client.on("notification", (notice) => {
      const payload = notice.payload ?? "";
      const cut = payload.indexOf(" ");
      heard(payload.slice(0, cut), payload.slice(cut + 1));
    });
    client.on("error", (error) => log.warn(errorFields(error), "trouble on the notification connection"));
    try {
      await client.connect();
      await client.query(`LISTEN ${PG_CHANNEL}`);
    } catch (error) {
      client.end().catch(() => {});
      throw error;
    }
    if (this.#closed) {
      await client.end();
      return;
    }
    this.#listener = client;
    client.once("end", () => this.#listenAgain());
  }

  /** What was sent before this is on its way when it resolves. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#relisten?.cancel();
    this.#resend?.cancel();
    await this.#listener?.end();
    await this.#sending;
    await this.#sender.end();
  }

  #listenAgain(): void {
    if (this.#closed) return;
    this.#relisten = this.#options.clock.after(RETRY_MS, () => {
      this.listen().then(
        () => this.#options.heard(RESYNC_CHANNEL, ""),
        (error: unknown) => {
          this.#options.log.warn(errorFields(error), "cannot listen on the database yet");
          this.#listenAgain();
        },
      );
    });
  }
}
