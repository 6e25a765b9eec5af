import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import type { DiskMeasure, GuestSpec } from "../../../protocol/compute.ts";
import type { Call } from "../../../runtime/call.ts";
import { orAborted } from "../../../sim/sim-faults.ts";
import type { LiveMigration, MigrateOutOptions } from "../driver.ts";
import type { SimActs } from "./sim-acts.ts";
import { requireNotFenced, SimGuest } from "./sim-host.ts";
import { SimMigration } from "./sim-migration.ts";

const GIB = 1024 ** 3;

export function simLiveMigration(acts: SimActs): LiveMigration {
  const { world, host } = acts;

  function check(spec: GuestSpec, options: Parameters<LiveMigration["checkDestination"]>[1]): void {
    const { mode, sourceFacts, diskBytes } = options;
    if (host.guests.get(spec.serverId)?.active) refuse("The server already runs here.");
    if (sourceFacts.cpuInfo.model !== host.cpuModel) refuse("The hosts' CPU models differ.");
    if (spec.ramMiB > host.ramMiB) refuse("The host has too little memory.");
    const storage = spec.rootDisk?.storage;
    if (mode === "shared" && storage === "local") refuse("The server's disk is not on shared storage.");
    if (mode === "mirror" && storage !== "local") refuse("The server has no disk of its host.");
    if (storage === "shared" && (host.sharedStorage ?? "none") !== sourceFacts.sharedStorage) {
      refuse("The hosts do not share the server's storage.");
    }
    if (mode === "mirror" && world.writtenBytes(host) + diskBytes > host.diskGiB * GIB) {
      refuse("The host has too little disk space.");
    }
  }

  function prepare(spec: GuestSpec, mode: "shared" | "mirror") {
    const { serverId } = spec;
    const found = host.guests.get(serverId);
    if (found?.active) {
      throw new CloudError("conflict", "compute.guest_running", `Server ${serverId} runs here.`);
    }
    if (found?.power === "incoming" && found.incoming?.mode === mode) return found.incoming;
    const storage = spec.rootDisk?.storage;
    if (storage === "shared" && !world.disks(host, storage).has(serverId)) refuse("The server's disk is not here.");
    if (mode === "mirror") world.ensureDisk(host, spec);
    const memoryUri = world.nextAddress(host, serverId);
    const guest = new SimGuest(spec);
    guest.incoming = { memoryUri, diskUri: mode === "mirror" ? `${memoryUri}/disk` : null, mode, migration: undefined };
    host.guests.set(serverId, guest);
    world.setPower(host, guest, "incoming");
    return guest.incoming;
  }

  async function migrateOut(serverId: string, options: MigrateOutOptions, call: Call) {
    const guest = acts.guest(serverId);
    let migration = guest.migration;
    if (migration?.memoryUri !== options.target.memoryUri) {
      if (migration && !migration.over) {
        throw new CloudError("conflict", "compute.guest_migrating", `Server ${serverId} is in another migration.`);
      }
      if (!guest.active) {
        throw new CloudError("conflict", "compute.guest_not_running", `Server ${serverId} is not running.`);
      }
      migration = new SimMigration(world, host, guest, options);
      guest.migration = migration;
    }
    const unwatch = migration.watch((percent, progress) => call.progress(percent, progress));
    return await orAborted(migration.done, call.signal).finally(unwatch);
  }

  function abandon(serverId: string): void {
    const guest = host.guests.get(serverId);
    if (!guest) return;
    if (!guest.incoming) {
      throw new CloudError(
        "conflict",
        "compute.guest_running",
        `Server ${serverId} does not wait for a migration here.`,
      );
    }
    world.setPower(host, guest, "stopped");
    host.guests.delete(serverId);
    if (guest.incoming.mode === "mirror") host.disks.delete(serverId);
  }

  function measure(serverId: string): DiskMeasure {
    const guest = acts.guest(serverId);
    if (guest.spec.rootDisk === null) return { sizeBytes: 0, allocatedBytes: 0 };
    const disk = world.diskOf(host, guest);
    if (!disk) throw new CloudError("notFound", "compute.guest_not_found", `Server ${serverId} has no disk here.`);
    return { sizeBytes: disk.sizeGiB * GIB, allocatedBytes: world.writtenBytesOf(disk) };
  }

  return {
    measureDisk: (serverId, call) => acts.act("compute.measureDisk", call.signal, () => measure(serverId)),
    checkDestination: (spec, options, call) =>
      acts.act("compute.checkDestination", call.signal, () => check(spec, options)),
    prepareIncoming: (spec, mode, call) =>
      acts.act("compute.prepareIncoming", call.signal, () => {
        requireNotFenced(host, spec.serverId, call.epoch);
        const { memoryUri, diskUri } = prepare(spec, mode);
        return { memoryUri, diskUri };
      }),
    migrateOut: (serverId, options, call) =>
      acts.act("compute.migrateOut", call.signal, () => migrateOut(serverId, options, call)),
    abortMigration: (serverId, call) =>
      acts.act("compute.abortMigration", call.signal, () => host.guests.get(serverId)?.migration?.abort()),
    forceCompleteMigration: (serverId, call) =>
      acts.act("compute.forceCompleteMigration", call.signal, () =>
        host.guests.get(serverId)?.migration?.forceComplete(),
      ),
    finishIncoming: (spec, { paused }, call) =>
      acts.act("compute.finishIncoming", call.signal, () => {
        const guest = acts.guest(spec.serverId);
        const arrived = guest.incoming === undefined && guest.power !== "moved";
        if (!arrived) {
          throw new CloudError("conflict", "compute.guest_not_running", `Server ${spec.serverId} has not arrived.`);
        }
        guest.spec = spec;
        world.claimDisk(host, guest);
        // One that has died since its arrival lives here all the same.
        if (guest.active) world.setPower(host, guest, paused ? "paused" : "running");
        return guest.facts();
      }),
    abandonIncoming: (serverId, call) => acts.act("compute.abandonIncoming", call.signal, () => abandon(serverId)),
  };
}

function refuse(reason: string): never {
  throw new CloudError("conflict", "compute.migration_refused", reason);
}
