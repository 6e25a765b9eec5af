import { CloudError } from "../../../../kernel/errors/cloud-error.ts";

/** A volume of a simulated backend, as moves see it. */
export interface MovingVolume {
  readonly sizeGiB: number;
  readonly replicated: boolean;
  /** What it holds. */
  source: string;
  /** A move's destination, of which nobody knows yet. */
  receiving?: boolean;
  /** A move's source. */
  copy?: { finished: boolean; readonly wasServed: boolean };
}

interface MovingArray {
  readonly volumes: Map<string, MovingVolume>;
  readonly served: Set<string>;
}

interface Target {
  readonly path: string;
  readonly export: string;
}

type Inputs = Pick<MovingVolume, "sizeGiB" | "replicated"> & { readonly volumeId: string; readonly target: Target };

/** What the backend `scope` answers to a verb about moves; `undefined` for other verbs. */
export function answerOfMove(of: (scope: string) => MovingArray, scope: string, verb: string, input: Inputs): unknown {
  const array = of(scope);
  const { volumeId, target } = input;
  switch (verb) {
    case "volume.receive": {
      const { sizeGiB, replicated } = input;
      const known = array.volumes.get(volumeId);
      if (known && !known.receiving) throw failed("storage.volume_in_use", "The volume exists here already.");
      if (!known) array.volumes.set(volumeId, { sizeGiB, replicated, source: "", receiving: true });
      return { target: { kind: "unix", path: `/run/${scope}`, export: volumeId }, address: addressOf(volumeId) };
    }
    case "volume.copyOut": {
      const volume = found(array, volumeId);
      const receiver = receiverOf(of, target);
      if (!receiver?.receiving || volume.replicated) throw failed("storage.copy_failed", "Copying failed.");
      receiver.source = volume.source;
      volume.copy ??= { finished: false, wasServed: array.served.has(volumeId) };
      return { bytes: volume.sizeGiB };
    }
    case "volume.finishCopy": {
      const { copy, source } = found(array, volumeId);
      if (!copy || (!copy.finished && receiverOf(of, target)?.source !== source))
        throw failed("storage.copy_failed", "The copies differ.");
      copy.finished = true;
      array.served.delete(volumeId);
      return {};
    }
    case "volume.abandonCopy": {
      const volume = array.volumes.get(volumeId);
      if (volume?.copy?.wasServed) array.served.add(volumeId);
      delete volume?.copy;
      return {};
    }
    default:
      return undefined;
  }
}

/** Where clients find the volume, whoever serves it. */
export function addressOf(volumeId: string) {
  return { kind: "unix" as const, path: `/run/${volumeId}`, export: volumeId };
}

function found(array: MovingArray, volumeId: string): MovingVolume {
  return array.volumes.get(volumeId) ?? refuse("storage.volume_not_found", "There is no such volume.");
}

function receiverOf(of: (scope: string) => MovingArray, target: Target): MovingVolume | undefined {
  return of(target.path.slice("/run/".length)).volumes.get(target.export);
}

function refuse(code: string, text: string): never {
  throw failed(code, text);
}

function failed(code: string, text: string): CloudError {
  return new CloudError("conflict", code, text);
}
