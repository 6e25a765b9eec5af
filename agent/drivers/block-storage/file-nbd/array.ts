import { mkdir, readdir, readlink, rename, rm, symlink } from "node:fs/promises";
import { join, resolve } from "node:path";
import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import { killForCertain } from "../../../process/running-process.ts";
import type { Connection } from "../../../protocol/connection.ts";
import { FileLocks } from "./file-locks.ts";
import type { FileNbdOptions } from "./options.ts";
import { daemonsMarked, identify, isAlive } from "./process-identity.ts";
import type { BackendRecord, CopyRecord, DaemonRecord } from "./records.ts";
import { checkedId, Site } from "./site.ts";
import { type DaemonFiles, DaemonTalk, daemonFiles, startDaemon } from "./storage-daemon.ts";

/** Linux allows 107 bytes for the path of a unix socket; `/<uuid>.<tag>-<generation>.nbd` takes up to 55 of them. */
const LONGEST_RUN_DIR = 107 - 55;

const NEW_BACKEND: BackendRecord = { generation: 0, active: null, failingBack: false, frozen: false };

/** The lock of the backend as a whole; no volume's: their ids are UUIDs. Whoever takes a volume's lock too takes this one first. */
export const BACKEND = "backend";

/** A copy of a volume together with the array that holds it. */
export interface Copy {
  site: Site;
  record: CopyRecord;
}

/** All copies of a volume: the one that counts, and the second one where there is one. */
export interface VolumeCopies {
  main: Copy;
  replica: Copy | undefined;
}

/** The arrays of one backend, what serves their volumes, and the locks under which all that is changed. */
export class StorageArray {
  readonly options: FileNbdOptions;
  readonly own: Site;
  readonly targets: readonly Site[];
  readonly locks: FileLocks;

  private constructor(options: FileNbdOptions) {
    this.options = options;
    this.own = new Site("default", resolve(options.directory));
    this.targets = options.replicationTargets.map(({ id, directory }) => new Site(id, resolve(directory)));
    const folder = options.cluster === null ? options.runDir : this.own.directory;
    this.locks = new FileLocks(join(folder, "locks"), options);
  }

  static async prepare(given: FileNbdOptions): Promise<StorageArray> {
    const options = { ...given, runDir: resolve(given.runDir) };
    if (Buffer.byteLength(options.runDir) > LONGEST_RUN_DIR) {
      throw new CloudError("invalid", "storage.run_dir_too_long", "The run folder's path is too long for sockets.");
    }
    await mkdir(options.runDir, { recursive: true, mode: 0o700 });
    const array = new StorageArray(options);
    for (const site of array.sites) await site.prepare(options);
    return array;
  }

  get sites(): readonly Site[] {
    return [this.own, ...this.targets];
  }

  async backend(): Promise<BackendRecord> {
    const found = await Promise.all(this.sites.map((site) => site.backend()));
    return found.flatMap((record) => record ?? []).reduce((a, b) => (b.generation > a.generation ? b : a), NEW_BACKEND);
  }

  /** The array that serves now: the backend's own, or the target that was failed over to. */
  async activeSite(): Promise<Site> {
    const { active } = await this.backend();
    return this.targets.find(({ id }) => id === active) ?? this.own;
  }

  /**
   * Asked before what was not found is said not to exist. Throws `storage.array_unreachable` while the array that serves is
   * away, and `storage.failed_over` when the backend's own one is that was failed over.
   */
  async requireSeen(): Promise<void> {
    const active = await this.activeSite();
    await active.requireReachable();
    if (active === this.own || (await this.own.isReachable())) return;
    throw new CloudError(
      "conflict",
      "storage.failed_over",
      "What the backend had before it failed over cannot be seen.",
    );
  }

  /** In every array that can be reached, `first` in any case: it alone must know when the others have gone. */
  async changeBackend(change: Partial<BackendRecord>, first: Site = this.own): Promise<void> {
    const before = await this.backend();
    const record = { ...before, ...change, generation: before.generation + 1 };
    await first.writeBackend(record);
    for (const site of this.sites) if (site !== first) await this.#ifReachable(site, site.writeBackend(record));
  }

  /** Whether an array that can be reached was away when the backend changed, or whoever told the arrays died before it was told. */
  async isBehind(): Promise<boolean> {
    return (await this.#behind()).length > 0;
  }

  /** Those that are behind hear of it: one of them that is left alone would serve what is old. The backend's lock is held. */
  async catchUp(): Promise<void> {
    const newest = await this.backend();
    for (const site of await this.#behind()) await this.#ifReachable(site, site.writeBackend(newest));
  }

  async #behind(): Promise<Site[]> {
    const newest = await this.backend();
    const behind = await Promise.all(
      this.sites.map(async (site) => {
        const record = (await site.backend()) ?? NEW_BACKEND;
        return record.generation < newest.generation && (await site.isReachable());
      }),
    );
    return this.sites.filter((_, i) => behind[i]);
  }

  /** Undefined when there is no such volume. */
  async find(volumeId: string): Promise<VolumeCopies | undefined> {
    checkedId(volumeId);
    const copies = await Promise.all(
      this.sites.map(async (site) => ({ site, record: (await site.isReachable()) && (await site.copy(volumeId)) })),
    );
    return volumeOf(copies.flatMap(({ site, record }) => (record ? [{ site, record }] : [])));
  }

  /** As they are on record at this moment: who works on one looks again under its lock. */
  async volumes(): Promise<VolumeCopies[]> {
    const copies = await Promise.all(
      this.sites.map(async (site) => {
        return (await site.isReachable()) ? (await site.copies()).map((record) => ({ site, record })) : [];
      }),
    );
    const known = Map.groupBy(copies.flat(), ({ record }) => record.volumeId);
    return [...known.values()].flatMap((each) => volumeOf(each) ?? []);
  }

  /** Throws `storage.volume_not_found`, and what `requireSeen` throws when the volume may be in an array that is away. */
  async required(volumeId: string): Promise<VolumeCopies> {
    const found = await this.find(volumeId);
    const active = await this.activeSite();
    // The copy that is seen may have been replaced by the one there.
    if (found?.main.record.replicated) await active.requireReachable();
    if (found && found.main.record.state !== "removing") return found;
    if (!found && !(await active.remembersRemoved({ kind: "volume", id: volumeId }))) await this.requireSeen();
    throw new CloudError("notFound", "storage.volume_not_found", `The backend has no volume ${volumeId}.`);
  }

  async update(copy: Copy, change: Partial<CopyRecord>): Promise<void> {
    const record = { ...copy.record, ...change };
    await copy.site.writeCopy(record);
    copy.record = record;
  }

  /** Of the process that is on record for the copy, if that very process lives. */
  async daemonOf(copy: Copy): Promise<DaemonFiles | undefined> {
    const { daemon } = copy.record;
    if (!daemon?.identity || !(await isAlive(daemon.identity, this.options.host))) return undefined;
    return this.#files(copy, daemon);
  }

  async talk(copy: Copy): Promise<DaemonTalk | undefined> {
    const files = await this.daemonOf(copy);
    return files && DaemonTalk.open(files, this.options.clock);
  }

  /** A daemon of this copy that has its data open; the one that runs, or a new one after whatever is left of others. */
  async ensureDaemon(copy: Copy): Promise<DaemonTalk> {
    return this.#withDisk(copy, (await this.#running(copy)) ?? (await this.#start(copy)));
  }

  /** The one that runs, with the data open; undefined when nothing has the copy open. */
  async runningDaemon(copy: Copy): Promise<DaemonTalk | undefined> {
    const talk = await this.#running(copy);
    return talk && this.#withDisk(copy, talk);
  }

  async #withDisk(copy: Copy, talk: DaemonTalk): Promise<DaemonTalk> {
    try {
      await talk.ensureDisk(copy.site.disk(copy.record.volumeId));
      return talk;
    } catch (error) {
      talk.close();
      throw error;
    }
  }

  /** Ends what serves the copy, in good order where it answers, and makes certain of it. */
  async endDaemon(copy: Copy): Promise<void> {
    const files = await this.daemonOf(copy);
    const { daemon } = copy.record;
    // On record first: who comes after a holder that dies here must not take one that is ending for one that serves. Its number
    // stays: no other one may be found at its socket.
    if (daemon?.identity)
      await this.#ifReachable(copy.site, this.update(copy, { daemon: { ...daemon, identity: null } }));
    const talk = files && (await DaemonTalk.open(files, this.options.clock).catch(() => undefined));
    await talk?.quit().catch(() => {});
    await this.killDaemons(copy.site, copy.record.volumeId);
  }

  /** Kills every process that works on this array's copy of the volume, and removes their sockets. The volume's lock is held. */
  async killDaemons(site: Site, volumeId: string): Promise<void> {
    const { runDir, clock } = this.options;
    const prefix = this.#prefix(site, volumeId);
    for (const pid of await daemonsMarked(prefix)) await killForCertain(pid, clock);
    for (const name of await readdir(runDir))
      if (name.startsWith(prefix)) await rm(join(runDir, name), { force: true });
  }

  /** Kills every process that works on this array, whoever works on its volumes. */
  async killAllDaemons(site: Site): Promise<void> {
    for (const pid of await daemonsMarked(`.${site.tag}-`)) await killForCertain(pid, this.options.clock);
  }

  /** The volume's own address, whoever serves it. */
  address(volumeId: string): Connection {
    return { kind: "unix", path: join(this.options.runDir, `${checkedId(volumeId)}.sock`), export: volumeId };
  }

  /** From now on clients that connect come to this copy. In one step. */
  async pointAt(copy: Copy): Promise<void> {
    const files = await this.daemonOf(copy);
    const link = join(this.options.runDir, `${copy.record.volumeId}.sock`);
    if (!files || (await readlink(link).catch(() => "")) === files.nbd) return;
    await rm(`${link}.new`, { force: true });
    await symlink(files.nbd, `${link}.new`);
    await rename(`${link}.new`, link);
  }

  /**
   * Whether clients are served from this copy: its process lives, and the volume's address leads to it. That is the last thing that
   * is done when a copy comes to be exported, and undone first. Costs no talk with the process.
   */
  async isServed(copy: Copy): Promise<boolean> {
    const files = await this.daemonOf(copy);
    if (!files) return false;
    const link = join(this.options.runDir, `${copy.record.volumeId}.sock`);
    return (await readlink(link).catch(() => "")) === files.nbd;
  }

  /** Cuts clients off, for good or until the copy is served again. */
  async endExport(copy: Copy, talk: DaemonTalk): Promise<void> {
    await this.pointNowhere(copy.site, copy.record.volumeId);
    await talk.ensureNoExport();
  }

  /**
   * Ends a mirror of the copy. Clients may be cut off for that moment: the address leads nowhere meanwhile, so that they are served
   * again should its holder die in it.
   */
  async endMirror(copy: Copy, talk: DaemonTalk): Promise<boolean> {
    const served = await this.isServed(copy);
    await this.pointNowhere(copy.site, copy.record.volumeId);
    const equal = await talk.endMirror(copy.record.volumeId);
    if (served) await this.pointAt(copy);
    return equal;
  }

  /** Takes the address away, unless it leads to another array's copy: the volume may have moved. */
  async pointNowhere(site: Site, volumeId: string): Promise<void> {
    const link = join(this.options.runDir, `${checkedId(volumeId)}.sock`);
    const leadsTo = await readlink(link).catch(() => "");
    if (leadsTo.startsWith(join(this.options.runDir, this.#prefix(site, volumeId)))) await rm(link, { force: true });
  }

  /** Not one that has taken a mirror's writes: who made its copy the first one has died before he ended it. */
  async #running(copy: Copy): Promise<DaemonTalk | undefined> {
    const talk = await this.talk(copy);
    if (!talk) return undefined;
    const servesMirror = await talk.isGuarded().catch((error: unknown) => {
      talk.close();
      throw error;
    });
    if (!servesMirror) return talk;
    talk.close();
    await this.endDaemon(copy);
    return undefined;
  }

  async #start(copy: Copy): Promise<DaemonTalk> {
    const { host, clock } = this.options;
    await this.killDaemons(copy.site, copy.record.volumeId);
    const generation = (copy.record.daemon?.generation ?? 0) + 1;
    // On record before it exists: whoever finds this knows which number not to use again.
    await this.update(copy, { daemon: { generation, identity: null } });
    const files = this.#files(copy, { generation });
    const identity = await identify(await startDaemon(files), host);
    if (!identity) throw new CloudError("unavailable", "storage.daemon_died", "A storage process died at its start.");
    await this.update(copy, { daemon: { generation, identity } });
    return DaemonTalk.open(files, clock);
  }

  #files(copy: Copy, { generation }: Pick<DaemonRecord, "generation">): DaemonFiles {
    return daemonFiles(this.options.runDir, this.#prefix(copy.site, copy.record.volumeId), generation);
  }

  #prefix(site: Site, volumeId: string): string {
    return `${checkedId(volumeId)}.${site.tag}-`;
  }

  async #ifReachable(site: Site, writing: Promise<void>): Promise<void> {
    await writing.catch((error: Error) => {
      this.options.log.warn({ site: site.id, error: error.message }, "an array cannot be told of a change");
    });
  }
}

function volumeOf(known: readonly Copy[]): VolumeCopies | undefined {
  const [main] = known
    .filter(({ record }) => record.role === "main")
    .toSorted((a, b) => b.record.generation - a.record.generation);
  if (!main) return undefined;
  return { main, replica: main.record.replicated ? known.find((copy) => copy !== main) : undefined };
}
