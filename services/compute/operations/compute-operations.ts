import { liveOperations } from "../../../kernel/operations/control.ts";
import type { AnyOperation, Operation } from "../../../kernel/operations/definition.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import type { ComputeDependencies } from "../dependencies.ts";
import { lockServer, serverNotFound } from "../store/servers.ts";
import type { ServerRow } from "../store/tables.ts";
import { attachVolumeOperation, type VolumeOfServerInput } from "./attach-volume.ts";
import { type CleanupInput, cleanElsewhere, cleanupOperation } from "./cleanup.ts";
import { type CreateServerInput, createServerOperation } from "./create-server.ts";
import { type DeleteServerInput, deleteServerOperation } from "./delete-server.ts";
import { detachVolumeOperation } from "./detach-volume.ts";
import { type EvacuateInput, evacuateServerOperation } from "./evacuate-server.ts";
import { type LiveMigrateInput, liveMigrateServerOperation } from "./live-migrate-server.ts";
import {
  injectNetworkInfoOperation,
  resetNetworkOperation,
  type ServerOnly,
  syncInterfacesOperation,
} from "./network-info.ts";
import { type PowerAction, type PowerInput, powerOperation } from "./power.ts";
import { type ReleaseVolumeInput, releaseVolumeOperation } from "./release-volume.ts";
import { type ResizeInput, resizeServerOperation } from "./resize-server.ts";
import { type SyncPowerInput, syncPowerOperation } from "./sync-power.ts";
import { type SyncVolumesInput, syncVolumesOperation } from "./sync-volumes.ts";

/** Every operation of the service, made once with what they work with. */
export interface ComputeOperations {
  readonly create: Operation<CreateServerInput>;
  readonly delete: Operation<DeleteServerInput>;
  readonly power: Readonly<Record<PowerAction, Operation<PowerInput>>>;
  readonly resize: Operation<ResizeInput>;
  readonly liveMigrate: Operation<LiveMigrateInput>;
  readonly evacuate: Operation<EvacuateInput>;
  readonly injectNetworkInfo: Operation<ServerOnly>;
  readonly resetNetwork: Operation<ServerOnly>;
  readonly syncInterfaces: Operation<ServerOnly>;
  readonly syncPower: Operation<SyncPowerInput>;
  readonly syncVolumes: Operation<SyncVolumesInput>;
  readonly attachVolume: Operation<VolumeOfServerInput>;
  readonly detachVolume: Operation<VolumeOfServerInput>;
  readonly releaseVolume: Operation<ReleaseVolumeInput>;
  readonly cleanup: Operation<CleanupInput>;
}

export function computeOperations(deps: ComputeDependencies): ComputeOperations {
  const releaseVolume = releaseVolumeOperation(deps);
  const cleanup = cleanupOperation(deps, releaseVolume);
  return {
    create: createServerOperation(deps, cleanup, releaseVolume),
    delete: deleteServerOperation(deps, cleanup, releaseVolume),
    power: {
      start: powerOperation(deps, "start"),
      stop: powerOperation(deps, "stop"),
      reboot: powerOperation(deps, "reboot"),
      pause: powerOperation(deps, "pause"),
      unpause: powerOperation(deps, "unpause"),
    },
    resize: resizeServerOperation(deps, cleanup),
    liveMigrate: liveMigrateServerOperation(deps, cleanup),
    evacuate: evacuateServerOperation(deps, cleanup),
    injectNetworkInfo: injectNetworkInfoOperation(deps),
    resetNetwork: resetNetworkOperation(deps),
    syncInterfaces: syncInterfacesOperation(deps),
    syncPower: syncPowerOperation(deps),
    syncVolumes: syncVolumesOperation(deps),
    attachVolume: attachVolumeOperation(deps),
    detachVolume: detachVolumeOperation(deps),
    releaseVolume,
    cleanup,
  };
}

export function listOperations(operations: ComputeOperations): AnyOperation[] {
  const { power, ...others } = operations;
  return [...Object.values(others), ...Object.values(power)];
}

/**
 * Fences everything that is under way for the server, so that nothing of it can act afterwards. With `cleanup`, hosts
 * that may hold something of it are cleaned, and the guest is adopted where it really runs. Returns the server as it is.
 */
export async function abandonAll(
  t: Tx,
  deps: ComputeDependencies,
  operations: ComputeOperations,
  serverId: string,
  options: { cleanup: boolean },
): Promise<ServerRow> {
  // Locked first: an operation that moves the server, or a request that starts one, has committed or will see this.
  const server = await lockServer(t, serverId);
  if (!server || server.deleted_at !== null) throw serverNotFound(serverId);
  const { operations: control } = deps.kernel;
  for (const live of await liveOperations(t, serverId)) {
    // A clean-up under way keeps the room of its host safe, and does not touch the server. Changes of its volumes wait until it
    // is known where the guest is; a server that goes takes them along.
    const { cleanup, attachVolume, detachVolume } = operations;
    const goesOn = options.cleanup ? [cleanup, attachVolume, detachVolume] : [cleanup];
    if (!goesOn.some(({ name }) => name === live.name)) await control.abandon(t, live.id);
  }
  if (options.cleanup)
    await cleanElsewhere(t, deps, operations.cleanup, { serverId, home: server.host, mayAdopt: true });
  return server;
}
