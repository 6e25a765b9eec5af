import type { Manageable, VolumeSpec } from "../../../../agent/protocol/block-storage.ts";
import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import type { CallerFactory, CallOptions } from "../../../../kernel/operations/command-caller.ts";
import { addressOf, answerOfMove, type MovingVolume } from "./simulated-moves.ts";

const GIB = 1024 ** 3;

interface StoredVolume extends MovingVolume {
  sizeGiB: number;
}

interface Inputs {
  readonly spec: VolumeSpec;
  readonly volumeId: string;
  readonly snapshotId: string;
  readonly sizeGiB: number;
  readonly sizeBytes: number;
  readonly reference: string;
  readonly replicated: boolean;
  readonly target: { readonly path: string; readonly export: string };
}

/** What one backend holds: its host's, or its cluster's. */
export class SimulatedArray {
  readonly volumes = new Map<string, StoredVolume>();
  /** Volumes that are served. */
  readonly served = new Set<string>();
  /** Volume of each snapshot. */
  readonly snapshots = new Map<string, string>();
  /** Data that is nobody's: GiB by reference. */
  readonly stray = new Map<string, number>();
  /** GiB. */
  capacity = 100;
  /** Refuses everything with this, or with nothing at all: its agent is away. */
  refusal: CloudError | null = null;
  /** What happens just before a verb is done. */
  before: (verb: string) => void | Promise<void> = () => {};

  /** So often removals wait for an array that has a second copy. */
  loseCopies(times: number): void {
    let left = times;
    this.before = (verb) => {
      if (!verb.endsWith(".ensureAbsent") || left === 0) return;
      left -= 1;
      throw new CloudError("unavailable", "storage.array_unreachable", "A storage array cannot be reached.");
    };
  }

  get provisioned(): number {
    return [...this.volumes.values()].reduce((sum, volume) => sum + volume.sizeGiB, 0);
  }
}

/** Backends that keep volumes and answer at once, by `node@backend` or `cluster@backend`. */
export class SimulatedArrays {
  readonly #arrays = new Map<string, SimulatedArray>();
  /** Who was told what, oldest first. */
  readonly told: string[] = [];

  readonly callers: CallerFactory = {
    caller: () => async (_table, verb, input, options) => (await this.#answer(verb, input as never, options)) as never,
  };

  of(scope: string): SimulatedArray {
    const array = this.#arrays.get(scope) ?? new SimulatedArray();
    this.#arrays.set(scope, array);
    return array;
  }

  /** Everything that is anywhere, as texts. */
  contents(): string[] {
    return [...this.#arrays].flatMap(([scope, array]) => [
      ...[...array.volumes].map(
        ([id, { sizeGiB, receiving, copy }]) =>
          `${scope} ${id} ${sizeGiB}${receiving ? " receiving" : ""}${copy ? " copied" : ""}${array.served.has(id) ? " served" : ""}`,
      ),
      ...[...array.snapshots.keys()].map((id) => `${scope} snapshot ${id}`),
      ...[...array.stray].map(([reference, sizeGiB]) => `${scope} data ${reference} ${sizeGiB}`),
    ]);
  }

  async #answer(verb: string, input: Inputs & { backend: string }, { to }: CallOptions): Promise<unknown> {
    if (verb === "compute.ensureVolumeSize" && "host" in to) {
      this.told.push(`${to.host} ${verb} ${input.sizeBytes / GIB} GiB`);
      return {};
    }
    const scope = "cluster" in to ? to.cluster : `${to.host}@${input.backend}`;
    const array = this.of(scope);
    this.told.push(`${scope} ${verb}`);
    if (array.refusal) throw array.refusal;
    await array.before(verb);
    const { volumeId, snapshotId, sizeGiB, spec } = input;
    switch (verb) {
      case "volume.ensure":
        return ensure(array, spec);
      case "volume.ensureAbsent":
        array.volumes.delete(volumeId);
        array.served.delete(volumeId);
        return {};
      case "volume.ensureExported":
        settled(array, volumeId);
        array.served.add(volumeId);
        return { volumeId, connection: addressOf(volumeId) };
      case "volume.ensureNotExported":
        settled(array, volumeId);
        array.served.delete(volumeId);
        return { volumeId, connection: null };
      case "volume.ensureSize": {
        const volume = found(array, volumeId);
        mustFit(array, sizeGiB - volume.sizeGiB);
        volume.sizeGiB = Math.max(volume.sizeGiB, sizeGiB);
        return {};
      }
      case "snapshot.ensure":
        found(array, volumeId);
        array.snapshots.set(snapshotId, volumeId);
        return {};
      case "snapshot.ensureAbsent":
        array.snapshots.delete(snapshotId);
        return {};
      case "volume.listManageable":
        return { found: manageable(array) };
      case "volume.adopt":
        return adopt(array, volumeId, input.reference);
      case "volume.release":
        return release(array, volumeId);
      case "volume.inspect":
        return { volume: array.volumes.has(volumeId) ? { volumeId } : null };
      case "volume.receive":
        if (!array.volumes.has(volumeId)) mustFit(array, sizeGiB);
        return answerOfMove((other) => this.of(other), scope, verb, input);
      case "volume.copyOut":
      case "volume.finishCopy":
      case "volume.abandonCopy":
        return answerOfMove((other) => this.of(other), scope, verb, input);
      default:
        throw new CloudError("invalid", "agent.unknown_verb", `There is no verb ${verb}.`);
    }
  }
}

function ensure(array: SimulatedArray, { volumeId, sizeGiB, replicated, source }: VolumeSpec): unknown {
  if (array.volumes.has(volumeId)) return {};
  mustFit(array, sizeGiB);
  if (source.kind === "volume") found(array, source.volumeId);
  if (source.kind === "snapshot" && !array.snapshots.has(source.snapshotId))
    throw new CloudError("notFound", "storage.snapshot_not_found", "There is no such snapshot.");
  array.volumes.set(volumeId, { sizeGiB, replicated, source: source.kind });
  return {};
}

function manageable({ stray, volumes }: SimulatedArray): Manageable[] {
  const free = [...stray].map(([reference, sizeGiB]) => {
    return { reference, sizeGiB, safeToManage: true, reasonNotSafe: null, volumeId: null };
  });
  const managed = [...volumes].map(([volumeId, { sizeGiB }]) => {
    const reasonNotSafe = "already managed";
    return { reference: `${volumeId}.raw`, sizeGiB, safeToManage: false, reasonNotSafe, volumeId };
  });
  return [...free, ...managed];
}

function adopt(array: SimulatedArray, volumeId: string, reference: string): unknown {
  const known = array.volumes.get(volumeId);
  const sizeGiB = known?.source === reference ? known.sizeGiB : array.stray.get(reference);
  if (sizeGiB === undefined) throw new CloudError("conflict", "storage.reference_taken", "There is no such data.");
  array.stray.delete(reference);
  array.volumes.set(volumeId, { sizeGiB, replicated: false, source: reference });
  return { sizeBytes: sizeGiB * GIB };
}

function release(array: SimulatedArray, volumeId: string): unknown {
  const volume = array.volumes.get(volumeId);
  if (volume) array.stray.set(`${volumeId}.raw`, volume.sizeGiB);
  array.volumes.delete(volumeId);
  return { reference: `${volumeId}.raw` };
}

/** A move's destination becomes a volume like others. */
function settled(array: SimulatedArray, volumeId: string): void {
  const volume = found(array, volumeId);
  delete volume.receiving;
  delete volume.copy;
}

function found(array: SimulatedArray, volumeId: string): StoredVolume {
  const volume = array.volumes.get(volumeId);
  if (volume) return volume;
  throw new CloudError("notFound", "storage.volume_not_found", "There is no such volume.");
}

function mustFit(array: SimulatedArray, gib: number): void {
  if (array.provisioned + gib > array.capacity)
    throw new CloudError("noCapacity", "storage.no_space", "There is no room.");
}
