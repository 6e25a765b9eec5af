import type {
  AgentEvent,
  PollReply,
  PollRequest,
  ProvidedService,
  ReportRequest,
} from "../../agent/protocol/envelope.ts";
import type { Clock, Timer } from "../clock/clock.ts";
import type { IdSource } from "../ids/ids.ts";
import { errorFields, type Logger } from "../log/logger.ts";
import { CONTROL_CHANNEL } from "../operations/channels.ts";
import { RESYNC_CHANNEL, type Store, type Tx } from "../store/store.ts";
import { storeReport } from "./command-answers.ts";
import { COMMANDS_CHANNEL } from "./command-channels.ts";
import { addresseesOfEnded, CommandDelivery } from "./command-delivery.ts";
import { Commands } from "./commands.ts";
import { forgiveOutage } from "./outage.ts";
import { announceService, dropServices, listServices, servicesOn } from "./services.ts";
import type { FleetSettings } from "./settings.ts";
import type { FleetTables, ServiceRow } from "./tables.ts";

/** What a service wants to know of its agents. Both run in the transaction that stores the news. */
export interface FleetListener {
  /** An agent started: what it provides, and what really exists there. */
  booted?(t: Tx, boot: AgentBoot): Promise<void>;
  event?(t: Tx, host: string, event: AgentEvent): Promise<void>;
}

export interface AgentBoot {
  readonly host: string;
  readonly services: readonly ProvidedService[];
  readonly inventory: Readonly<Record<string, readonly unknown[]>>;
}

export interface FleetOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly ids: IdSource;
  readonly log: Logger;
  readonly settings: FleetSettings;
  readonly zone: string;
  readonly listeners: readonly FleetListener[];
}

/** Payload: JSON of a host and levels by prefix. */
const LOG_LEVELS_CHANNEL = "fleet.log-levels";

const FLUSH_EVERY_MS = 1_000;
const SETTLE_EVERY_MS = 10_000;
const SWEEP_EVERY_MS = 30_000;
/** Stays below the variable limit of both databases. */
const CHUNK = 5_000;

interface Poller {
  wake(): void;
}

/** The server's side of the agent protocol: polls, reports, heartbeats. */
export class Fleet {
  readonly commands: Commands;
  readonly delivery: CommandDelivery;
  readonly settings: FleetSettings;
  readonly #options: FleetOptions;
  readonly #heard = new Map<string, number>();
  readonly #local = new Set<string>();
  readonly #pollers = new Map<string, Set<Poller>>();
  readonly #subscribers = new Set<(host: string) => void>();
  /** Clusters of each host that has polled here, as of its last poll: says whom to wake. */
  readonly #clusters = new Map<string, readonly string[]>();
  readonly #logLevels = new Map<string, Record<string, string>>();
  readonly #unlisten: (() => void)[] = [];
  readonly #timers = new Map<number, Timer>();
  #flushing: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: FleetOptions) {
    this.#options = options;
    this.settings = options.settings;
    this.commands = new Commands(options.store, options.clock);
    this.delivery = new CommandDelivery(options.store, options.clock);
    const { store } = options;
    this.#unlisten.push(
      store.listen(COMMANDS_CHANNEL, (addressee) => this.#wakeAddressee(addressee)),
      store.listen(LOG_LEVELS_CHANNEL, (payload) => {
        const { host, levels } = JSON.parse(payload) as { host: string; levels: Record<string, string> };
        this.#takeLogLevels(host, levels);
      }),
      store.listen(RESYNC_CHANNEL, () => {
        for (const host of this.#pollers.keys()) this.#wakeAddressee(host);
      }),
      store.listen(CONTROL_CHANNEL, (operation) => {
        this.#operationChanged(operation).catch((error: unknown) =>
          options.log.warn(errorFields(error), "cannot tell agents about a fenced operation"),
        );
      }),
    );
  }

  /** Starts the timers; tests call `flush` and `sweep` themselves. */
  start(): void {
    this.#every(FLUSH_EVERY_MS, () => this.flush());
    this.#every(SETTLE_EVERY_MS, () => this.commands.awaited.settleAll());
    this.#every(SWEEP_EVERY_MS, () => this.delivery.sweep());
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const timer of this.#timers.values()) timer.cancel();
    for (const unlisten of this.#unlisten) unlisten();
    for (const pollers of this.#pollers.values()) for (const poller of pollers) poller.wake();
    await this.flush();
    this.commands.awaited.close();
  }

  /** A process of the server itself that shows as a service record (`nova-conductor`) and beats with this process. */
  async announceLocal(host: string, binary: string): Promise<void> {
    const announced = { host, binary, service: null, cluster: null, facts: {}, zone: "internal" };
    const row = await this.#options.store.tx(async (t) => {
      await this.#forgiveOutage(t);
      return await announceService(t, this.#options, announced);
    });
    this.#local.add(row.uuid);
  }

  /** One poll: also the heartbeat. Returns at once when there is something to say, else when there is, or after `waitMs`. */
  async poll(host: string, request: PollRequest, signal?: AbortSignal): Promise<PollReply> {
    this.#heard.set(host, this.#options.clock.now());
    if (request.services) await this.#booted(host, request);
    const clusters = await this.#clustersOf(host);
    const known = new Set(request.known);
    const forget = await this.delivery.forgettable(request.known);
    const levels = this.#logLevels.get(host);
    const deadline = this.#options.clock.now() + Math.min(request.waitMs, this.settings.reportIntervalMs);
    for (;;) {
      const woken = this.#waitForNews(host, deadline, signal);
      const { commands, revoked } = await this.delivery.pending(host, clusters, known);
      const late = this.#closed || signal?.aborted || this.#options.clock.now() >= deadline;
      const louder = this.#logLevels.get(host) !== levels;
      if (commands.length > 0 || revoked.length > 0 || forget.length > 0 || louder || late) {
        woken.cancel();
        this.#heard.set(host, this.#options.clock.now());
        return {
          commands,
          revoked: revoked.map(({ key, subject, epoch }) => ({ key, subject, epoch })),
          forget,
          logLevels: this.#logLevels.get(host) ?? {},
        };
      }
      await woken.promise;
    }
  }

  async report(host: string, request: ReportRequest): Promise<void> {
    this.#heard.set(host, this.#options.clock.now());
    await storeReport(this.#options.store, host, request);
    if (request.events.length === 0) return;
    await this.#options.store.tx(async (t) => {
      for (const event of request.events)
        for (const listener of this.#options.listeners) await listener.event?.(t, host, event);
    });
  }

  /** All of these hosts are alive: what a poll says, for many hosts at once. */
  heartbeat(hosts: readonly string[]): void {
    const now = this.#options.clock.now();
    for (const host of hosts) this.#heard.set(host, now);
  }

  /** Calls `wake` whenever a poll of that host would bring news. Returns the way to end it. */
  subscribe(wake: (host: string) => void): () => void {
    this.#subscribers.add(wake);
    return () => this.#subscribers.delete(wake);
  }

  /** Logger levels that the agent of `host` is to use, by logger prefix: whichever process of the server it polls. */
  async setLogLevels(host: string, levels: Record<string, string>): Promise<void> {
    await this.#options.store.tx(async (t) => t.notify(LOG_LEVELS_CHANNEL, JSON.stringify({ host, levels })));
  }

  /** The agent sets them in this order, so what a new prefix covers goes, and it comes last. */
  #takeLogLevels(host: string, levels: Record<string, string>): void {
    const prefixes = Object.keys(levels);
    const kept = Object.entries(this.#logLevels.get(host) ?? {}).filter(
      ([known]) => !prefixes.some((prefix) => known.startsWith(prefix)),
    );
    this.#logLevels.set(host, { ...Object.fromEntries(kept), ...levels });
    this.#wakeAddressee(host);
  }

  /** Writes the heartbeats since the last flush, and fails the calls that wait for hosts found down. One at a time. */
  flush(): Promise<void> {
    const flushed = this.#flushing.then(() => this.#flushHeard());
    this.#flushing = flushed.catch(() => {});
    return flushed;
  }

  /** Two at once would both write who was heard before the first of them, the later one as if it had been heard since. */
  async #flushHeard(): Promise<void> {
    const { store, clock } = this.#options;
    const heard = [...this.#heard];
    const hosts = heard.map(([host]) => host);
    const now = clock.now();
    if (hosts.length > 0 || this.#local.size > 0) {
      await store.tx(async (t) => {
        if (this.#local.size > 0) await this.#forgiveOutage(t);
        const db = t.tables<FleetTables>();
        for (let i = 0; i < hosts.length; i += CHUNK) {
          const some = hosts.slice(i, i + CHUNK);
          await db.updateTable("hosts").set({ last_seen: now }).where("name", "in", some).execute();
          await db
            .updateTable("services")
            .set({ last_seen: now })
            .where("node", "in", some)
            .where("service", "is not", null)
            .execute();
        }
        if (this.#local.size > 0)
          await db
            .updateTable("services")
            .set({ last_seen: now })
            .where("uuid", "in", [...this.#local])
            .execute();
      });
    }
    // What could not be written is not forgotten: it is as true later.
    for (const [host, at] of heard) if (this.#heard.get(host) === at) this.#heard.delete(host);
    await this.#findDown(now);
  }

  async #forgiveOutage(t: Tx): Promise<void> {
    // Shorter pauses, a busy machine's for one, make no host look down, and must not keep one that is down from looking so.
    await forgiveOutage(t, this.#options.clock.now(), this.settings.serviceDownTimeMs / 2);
  }

  #every(everyMs: number, work: () => Promise<void>): void {
    if (this.#closed) return;
    const next = this.#options.clock.after(everyMs, () => {
      work()
        .catch((error: unknown) => this.#options.log.error(errorFields(error), "fleet upkeep failed"))
        .finally(() => this.#every(everyMs, work));
    });
    this.#timers.set(everyMs, next);
  }

  async #findDown(now: number): Promise<void> {
    const { store } = this.#options;
    const watched = new Set([...this.commands.awaited.hosts(), ...(await this.delivery.takers())]);
    if (watched.size === 0) return;
    const services = await servicesOn(store.read, [...watched]);
    for (const host of watched) {
      const rows = services.filter((row) => row.node === host);
      // An operator's forced_down is about scheduling; whether a call can still be answered is a matter of heartbeats.
      const silent = rows.every((row) => now - (row.last_seen ?? row.created_at) > this.settings.serviceDownTimeMs);
      if (!silent) continue;
      this.commands.awaited.hostDown(host);
      await store.tx((t) => this.delivery.releaseTaken(t, host));
    }
  }

  async #booted(host: string, request: PollRequest): Promise<void> {
    const services = request.services ?? [];
    const { store, clock, ids, zone } = this.#options;
    await store.tx(async (t) => {
      await t
        .tables<FleetTables>()
        .updateTable("hosts")
        .set({ boot_id: request.bootId, last_seen: clock.now() })
        .where("name", "=", host)
        .execute();
      const announced: ServiceRow[] = [];
      for (const s of services) {
        const row = await announceService(
          t,
          { clock, ids },
          {
            host,
            backend: s.backend,
            binary: s.binary,
            service: s.service,
            cluster: s.cluster,
            facts: s.facts,
            zone: s.zone ?? zone,
          },
        );
        announced.push(row);
      }
      await dropServices(t, host, announced);
      const boot = { host, services, inventory: request.inventory ?? {} };
      for (const listener of this.#options.listeners) await listener.booted?.(t, boot);
    });
  }

  /** The agent announces its clusters once per boot, maybe to another process of the server, or to one that is gone. */
  async #clustersOf(host: string): Promise<readonly string[]> {
    const rows = await listServices(this.#options.store.read, { node: host });
    const clusters = rows.flatMap((row) => row.cluster ?? []);
    this.#clusters.set(host, clusters);
    return clusters;
  }

  async #operationChanged(operationId: string): Promise<void> {
    if (this.#closed) return;
    const { store } = this.#options;
    for (const addressee of await addresseesOfEnded(store.read, operationId)) this.#wakeAddressee(addressee);
  }

  #waitForNews(
    host: string,
    deadline: number,
    signal: AbortSignal | undefined,
  ): { promise: Promise<void>; cancel(): void } {
    const { promise, resolve: wake } = Promise.withResolvers<void>();
    const resolve = () => wake();
    const poller: Poller = { wake };
    const pollers = this.#pollers.get(host) ?? new Set();
    pollers.add(poller);
    this.#pollers.set(host, pollers);
    const timer = this.#options.clock.after(Math.max(0, deadline - this.#options.clock.now()), resolve);
    signal?.addEventListener("abort", resolve, { once: true });
    const cancel = () => {
      timer.cancel();
      signal?.removeEventListener("abort", resolve);
      pollers.delete(poller);
      if (pollers.size === 0 && this.#pollers.get(host) === pollers) this.#pollers.delete(host);
    };
    return { promise: promise.finally(cancel), cancel };
  }

  #wakeAddressee(addressee: string): void {
    for (const host of this.#addressees(addressee)) {
      for (const poller of this.#pollers.get(host) ?? []) poller.wake();
      for (const wake of this.#subscribers) wake(host);
    }
  }

  /** A host's name, or `@cluster` for its members. */
  #addressees(addressee: string): string[] {
    if (!addressee.startsWith("@")) return [addressee];
    const cluster = addressee.slice(1);
    return [...this.#clusters].filter(([, clusters]) => clusters.includes(cluster)).map(([host]) => host);
  }
}
