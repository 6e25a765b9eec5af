import { computeVerbs } from "../../../agent/protocol/compute.ts";
import { seconds } from "../../../kernel/clock/clock.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { Commands } from "../../../kernel/fleet/commands.ts";
import { isUp, listServices } from "../../../kernel/fleet/services.ts";
import { errorFields, type Logger } from "../../../kernel/log/logger.ts";
import { liveOperations } from "../../../kernel/operations/control.ts";
import type { Operation } from "../../../kernel/operations/definition.ts";
import type { ComputeDependencies } from "../dependencies.ts";
import { hostDifferences, inBoth } from "../domain/host-differences.ts";
import { type CleanupInput, startCleanup } from "../operations/cleanup.ts";
import { startSyncPower } from "../operations/sync-power.ts";
import { startSyncVolumes } from "../operations/sync-volumes.ts";
import { isVolumeOfAnother } from "../store/block-devices.ts";
import { lockServer } from "../store/servers.ts";
import { recordOf } from "./host-record.ts";

/** A round over all hosts is made in so many parts, so that a large fleet is never asked all at once. */
export const SLICES = 10;
const AT_ONCE = 8;
/** A host that is busy for longer is asked again in the next round. */
const PATIENCE_MS = seconds(30);

/** One guest that is not as the database says, and for which there is no remedy that could not do harm. */
export interface Oddity {
  readonly host: string;
  readonly serverId: string;
  /**
   * `unknown`: no server is known to have anything there; `unexpected`: it is on, its server says otherwise; `extra`: it has a disk of
   * `volumeId`, which is not its server's.
   */
  readonly what: "unknown" | "unexpected" | "extra";
  readonly volumeId?: string;
}

/**
 * Compares what hosts really run with the database, again and again: what agents tell by themselves may be lost, and so
 * may a clean-up. Guests that should run and do not, disks that guests have lost, and room held for servers that live elsewhere, go to the
 * operations that deal with them, which look again for themselves. A guest that nobody knows, and a disk that a guest should not have, are
 * told of and left alone.
 */
export class HostComparison {
  readonly #deps: ComputeDependencies;
  readonly #commands: Pick<Commands, "ask">;
  readonly #cleanup: Operation<CleanupInput>;
  readonly #log: Logger;
  readonly #odd = new Map<string, readonly Oddity[]>();
  /** The last host that was compared; the next part goes on after it. */
  #last = "";

  constructor(deps: ComputeDependencies, commands: Pick<Commands, "ask">, cleanup: Operation<CleanupInput>) {
    this.#deps = deps;
    this.#commands = commands;
    this.#cleanup = cleanup;
    this.#log = deps.kernel.loggers.get("compute.hosts");
  }

  /** What the last comparison of each host could not put right. */
  get oddities(): Oddity[] {
    return [...this.#odd.values()].flat();
  }

  /** Compares the next part of all hosts that are up. Throws the signal's reason when it is aborted. */
  async next(signal: AbortSignal): Promise<void> {
    const names = await this.#hostsThatAreUp();
    for (const host of this.#odd.keys()) if (!names.includes(host)) this.#odd.delete(host);
    const after = names.filter((name) => name > this.#last);
    const part = [...after, ...names].slice(0, Math.ceil(names.length / SLICES));
    this.#last = part.at(-1) ?? "";
    const waiting = part.values();
    await Promise.all(Array.from({ length: AT_ONCE }, () => this.#compareEach(waiting, signal)));
  }

  async #hostsThatAreUp(): Promise<string[]> {
    const { kernel, fleet } = this.#deps;
    const services = await listServices(kernel.store.read, { binary: "nova-compute" });
    const now = kernel.clock.now();
    return services.flatMap((service) => (isUp(service, now, fleet) ? service.host : [])).toSorted();
  }

  async #compareEach(hosts: Iterator<string>, signal: AbortSignal): Promise<void> {
    for (let next = hosts.next(); !next.done; next = hosts.next()) {
      signal.throwIfAborted();
      try {
        await this.#compare(next.value, signal);
      } catch (error) {
        if (!(error instanceof CloudError) || error.kind !== "unavailable") throw error;
        this.#log.info({ host: next.value, ...errorFields(error) }, "the host could not be compared");
      }
    }
  }

  async #compare(host: string, signal: AbortSignal): Promise<void> {
    const { store, ids } = this.#deps.kernel;
    // What changes while the host answers is no difference: it must be one before and after.
    const before = await recordOf(store.read, host);
    const about = { host, subject: host, id: ids.uuid(), timeoutMs: PATIENCE_MS, signal };
    const { guests } = await this.#commands.ask(computeVerbs, "compute.list", {}, about);
    const after = await recordOf(store.read, host);
    const found = inBoth(hostDifferences(before, guests), hostDifferences(after, guests));
    for (const id of found.off) await this.#lookAt(host, id);
    for (const id of found.left) await this.#clean(host, id);
    await this.#tellOf(host, [
      ...found.unknown.map((serverId) => ({ host, serverId, what: "unknown" as const })),
      ...found.unexpected.map((serverId) => ({ host, serverId, what: "unexpected" as const })),
      ...found.extra.map((disk) => ({ host, ...disk, what: "extra" as const })),
    ]);
    for (const [serverId, disks] of Map.groupBy(found.lacks, (disk) => disk.serverId))
      await this.#plug(
        host,
        serverId,
        disks.map((disk) => disk.volumeId),
      );
  }

  /** Its guest seems to be off, and nobody has told. */
  async #lookAt(host: string, serverId: string): Promise<void> {
    await this.#deps.kernel.store.tx(async (t) => {
      const server = await lockServer(t, serverId);
      if (server?.host !== host || server.task_state !== null) return;
      if ((await liveOperations(t, serverId)).length > 0) return;
      this.#log.info({ host, server: serverId }, "the guest seems to be off");
      await startSyncPower(t, this.#deps, serverId);
    });
  }

  /**
   * Its guest lacks disks of these volumes. Not when it has others too much, which it would lose by that, and not when another guest is
   * known to have one of them.
   */
  async #plug(host: string, serverId: string, lacks: readonly string[]): Promise<void> {
    const isInTheWay = (odd: Oddity) =>
      odd.volumeId !== undefined && (odd.serverId === serverId || lacks.includes(odd.volumeId));
    if (this.oddities.some(isInTheWay)) return;
    await this.#deps.kernel.store.tx(async (t) => {
      const server = await lockServer(t, serverId);
      if (server?.host !== host || server.task_state !== null) return;
      if ((await liveOperations(t, serverId)).length > 0) return;
      if (await startSyncVolumes(t, this.#deps, { serverId, lacks }))
        this.#log.warn({ host, server: serverId, volumes: lacks }, "the guest has lost disks, and gets them again");
    });
  }

  /** Something of it may be on the host, and nobody is about to clean up. */
  async #clean(host: string, serverId: string): Promise<void> {
    await this.#deps.kernel.store.tx(async (t) => {
      const server = await lockServer(t, serverId);
      if ((await liveOperations(t, serverId)).length > 0) return;
      if (!(await recordOf(t, host)).held.has(serverId)) return;
      this.#log.warn({ host, server: serverId }, "the host may still hold something of a server that lives elsewhere");
      const mayAdopt = server !== undefined && server.deleted_at === null;
      await startCleanup(t, this.#deps, this.#cleanup, { serverId, host, mayAdopt });
    });
  }

  async #tellOf(host: string, found: readonly Oddity[]): Promise<void> {
    const odd: Oddity[] = [];
    for (const one of found) {
      if ((await liveOperations(this.#deps.kernel.store.read, one.serverId)).length === 0) odd.push(one);
    }
    const told = this.#odd.get(host) ?? [];
    for (const { serverId, what, volumeId } of odd) {
      const isSame = (other: Oddity) =>
        other.serverId === serverId && other.what === what && other.volumeId === volumeId;
      if (told.some(isSame)) continue;
      const about = { host, server: serverId, ...(volumeId === undefined ? {} : { volume: volumeId }) };
      const isShared =
        volumeId !== undefined && (await isVolumeOfAnother(this.#deps.kernel.store.read, { volumeId, serverId }));
      if (isShared) this.#log.error(about, "two guests may write to one volume: this one should not have it");
      else this.#log.warn(about, `${MESSAGES[what]}; it is left alone`);
    }
    this.#odd.set(host, odd);
  }
}

const MESSAGES = {
  unknown: "the host has a guest that is not known to belong there",
  unexpected: "the guest is on although its server says otherwise",
  extra: "the guest has a disk of a volume that is not its server's",
} as const;
