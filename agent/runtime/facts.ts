import type { Clock } from "../../kernel/clock/clock.ts";
import { errorFields, type Logger } from "../../kernel/log/logger.ts";
import type { ProvidedService } from "../protocol/envelope.ts";
import type { AgentService } from "./agent-service.ts";

/** How often facts that change by themselves are looked at. */
const LOOK_EVERY_MS = 10_000;

export interface FactsOptions {
  services: readonly AgentService[];
  clock: Clock;
  log: Logger;
  /** Called when the server should be told something new. */
  onNews(): void;
}

/** What the services of a host tell the server of themselves: when its agent starts, and when that has changed. */
export class Facts {
  readonly #options: FactsOptions;
  /** By service: what it was last seen to provide. */
  readonly #seen = new Map<AgentService, ProvidedService[]>();
  /** Of what was seen: the newest, the one in the poll under way, the one that the server has. */
  readonly #version = { seen: 1, sent: 0, stored: 0 };
  #lookedAt: number;
  #looking: Promise<void> | undefined;

  constructor(options: FactsOptions) {
    this.#options = options;
    this.#lookedAt = options.clock.now();
  }

  /** What the next poll has to say of all services; undefined when the server knows it. */
  async news(): Promise<ProvidedService[] | undefined> {
    this.#lookInTime();
    this.#version.sent = this.#version.seen;
    if (this.#version.stored === this.#version.seen) return undefined;
    const provided = this.#options.services.map(async (service) => {
      const seen = service.factsChange ? this.#seen.get(service) : undefined;
      const now = seen ?? (await service.provided());
      this.#seen.set(service, now);
      return now;
    });
    return (await Promise.all(provided)).flat();
  }

  /** The server has stored what the last `news` said. */
  stored(): void {
    this.#version.stored = this.#version.sent;
  }

  /** To be called once the services are closed, which ends a look that takes long. */
  async close(): Promise<void> {
    await this.#looking;
  }

  /** In the background: a disk that hangs must not keep this host from being heard. */
  #lookInTime(): void {
    const { clock, log } = this.#options;
    if (this.#looking || this.#version.stored === 0 || clock.now() - this.#lookedAt < LOOK_EVERY_MS) return;
    this.#lookedAt = clock.now();
    this.#looking = this.#look()
      .catch((error: unknown) => log.info(errorFields(error), "a service cannot tell of itself now"))
      .finally(() => {
        this.#looking = undefined;
      });
  }

  async #look(): Promise<void> {
    for (const service of this.#options.services) {
      if (!service.factsChange) continue;
      const now = await service.provided();
      const same = JSON.stringify(now) === JSON.stringify(this.#seen.get(service));
      this.#seen.set(service, now);
      if (!same) this.#version.seen += 1;
    }
    if (this.#version.seen !== this.#version.sent) this.#options.onNews();
  }
}
