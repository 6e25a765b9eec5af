import { rm, statfs } from "node:fs/promises";
import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import { isRefusal, type Qmp } from "../../../process/qmp.ts";
import type { GuestFacts, GuestSpec, IncomingTarget, MigrationMode } from "../../../protocol/compute.ts";
import type { Call } from "../../../runtime/call.ts";
import type { DestinationOptions } from "../driver.ts";
import { type DiskAddress, diskUri, socketAddress } from "./disk-uri.ts";
import { claimDisk, ensureRootDisk, exists } from "./disks.ts";
import { hostFacts } from "./facts.ts";
import { requireNotFenced } from "./fence-marker.ts";
import { withFreePort } from "./free-port.ts";
import type { Guest } from "./guest.ts";
import type { Host } from "./host.ts";
import { checkSpec, launch } from "./launch.ts";
import { memoryUri, migrationState, setCapabilities } from "./migration-settings.ts";
import { removeTaps } from "./power.ts";
import { endProcess } from "./stop.ts";

const EXPORT = "migration-root";
/** After the source's last byte the memory only has to be taken over. */
const ARRIVAL_LIMIT_MS = 30_000;

export async function checkDestination(host: Host, spec: GuestSpec, options: DestinationOptions): Promise<void> {
  checkSpec(spec);
  const { mode, sourceFacts: source, diskBytes } = options;
  const facts = await hostFacts(host);
  const storage = spec.rootDisk?.storage;
  const guest = await host.guest(spec.serverId);
  const here = (await guest.load()) ? await guest.power() : "moved";
  const refusals: [boolean, string][] = [
    [here !== "moved" && guestHasControl(here), "The guest is on this host already."],
    [source.hypervisorType !== facts.hypervisorType, "The hosts' hypervisor types differ."],
    [source.hypervisorVersion > facts.hypervisorVersion, "The destination's hypervisor is older than the source's."],
    [spec.vcpus > facts.vcpus || spec.ramMiB > facts.ramMiB, "The destination is too small for the server."],
    [mode === "shared" && storage === "local", "The server's disk is not on shared storage."],
    [mode === "mirror" && storage !== "local", "The server has no disk of its host: there is nothing to mirror."],
    [
      storage === "shared" && source.sharedStorage !== facts.sharedStorage,
      "The hosts do not share their instance storage.",
    ],
    [mode === "mirror" && !(await hasRoom(host, diskBytes)), "The destination has too little disk space."],
  ];
  const refusal = refusals.find(([refused]) => refused);
  if (refusal) throw new CloudError("conflict", "compute.migration_refused", refusal[1]);
}

/** Starts a process that waits for the guest, and opens what the source connects to. A repeat gives the same target. */
export async function prepareIncoming(
  host: Host,
  spec: GuestSpec,
  mode: MigrationMode,
  call: Call,
): Promise<IncomingTarget> {
  const guest = await host.guest(spec.serverId);
  return guest.exclusive(async () => {
    await requireNotFenced(host.options.stateDir, guest.id, call.epoch);
    if (await guest.load()) {
      const known = guest.record.incoming?.target;
      const power = await guest.power();
      if (known && power !== "crashed") return known;
      if (guest.record.incoming === null && !guest.record.moved) throw guestRunning();
      await clear(host, guest);
    }
    await guest.adopt(spec);
    await guest.update({ moved: false, outgoing: null, incoming: { mode, target: null, received: false } });
    const target = await listen(host, guest, mode, call);
    await guest.update({ incoming: { mode, target, received: false } });
    return target;
  });
}

/**
 * Lets the guest that has arrived run (or stay paused) and closes what was opened for it. Who calls this knows that the
 * source has handed over: a guest that has died since lives here all the same, crashed, for nowhere else will it ever run.
 */
export async function finishIncoming(host: Host, spec: GuestSpec, paused: boolean, call: Call): Promise<GuestFacts> {
  const guest = await host.guest(spec.serverId);
  return guest.exclusive(async () => {
    const { incoming } = guest.record;
    if (incoming === null) return guest.facts();
    const alive = await takeOver(host, guest, { mode: incoming.mode, paused }, call).then(
      () => true,
      async (error: unknown) => {
        if (await guest.isAlive()) throw error;
        return false;
      },
    );
    await guest.adopt(spec);
    await claimDisk(host.files, spec, host.options.host);
    const gone = alive ? {} : { started: null };
    await guest.update({ incoming: null, intent: paused ? "paused" : "running", ...gone });
    return guest.facts();
  });
}

async function takeOver(
  host: Host,
  guest: Guest,
  wanted: { mode: MigrationMode; paused: boolean },
  call: Call,
): Promise<void> {
  const { mode, paused } = wanted;
  const qmp = await guest.qmp();
  await arrival(host, qmp, call);
  await guest.update({ incoming: { mode, target: guest.record.incoming?.target ?? null, received: true } });
  const { status } = await qmp.execute<{ status: string }>("query-status");
  if (status === "paused" && !paused) await qmp.execute("cont");
  if (status === "running" && paused) await qmp.execute("stop");
  if (mode === "mirror") await closeDiskServer(qmp);
  await qmp.execute("announce-self", { initial: 50, max: 550, rounds: 5, step: 50 });
}

/** Removes a guest that never got control. Throws `compute.guest_running` when it may have. */
export async function abandonIncoming(host: Host, serverId: string): Promise<void> {
  const guest = await host.guest(serverId);
  await guest.exclusive(async () => {
    if (!(await guest.load())) return;
    const { incoming, moved } = guest.record;
    if (incoming === null && !moved) throw guestRunning();
    if (incoming?.received || guestHasControl(await guest.power())) throw guestRunning();
    if (incoming !== null) await clear(host, guest);
  });
}

/** Remembers that the guest has arrived, so that nobody takes it for one that did not. */
export async function noteArrival(guest: Guest): Promise<void> {
  const { incoming } = guest.record;
  if (incoming === null || incoming.received) return;
  if (guestHasControl(await guest.power())) await guest.update({ incoming: { ...incoming, received: true } });
}

function guestHasControl(power: string): boolean {
  return power === "running" || power === "paused" || power === "stopped";
}

async function listen(host: Host, guest: Guest, mode: MigrationMode, call: Call): Promise<IncomingTarget> {
  const rootDisk = await receivingDisk(host, guest.spec, mode, call);
  await launch(host, guest, { rootDisk, start: "incoming" }, call);
  const qmp = await guest.qmp();
  const postCopy = await switchOn(qmp);
  const listening = await openMemory(host, guest, qmp);
  const disk = mode === "mirror" ? await openDiskServer(host, guest, qmp) : null;
  return { memoryUri: memoryUri(listening, postCopy), diskUri: disk };
}

async function receivingDisk(host: Host, spec: GuestSpec, mode: MigrationMode, call: Call): Promise<string | null> {
  if (spec.rootDisk === null) return null;
  const path = host.files.rootDisk(spec.serverId, spec.rootDisk.storage);
  if (mode === "mirror") {
    // The mirror brings only what differs from the image: what an earlier stay left behind would shine through.
    await rm(path, { force: true });
    return ensureRootDisk(host.files, spec, call);
  }
  if (await exists(path)) return path;
  throw new CloudError("conflict", "compute.migration_refused", "The server's disk is not on the shared storage.");
}

/** Post-copy needs userfaultfd, which not every host permits; the source is told. */
async function switchOn(qmp: Qmp): Promise<boolean> {
  try {
    await setCapabilities(qmp, ["events", "return-path", "postcopy-ram"]);
    return true;
  } catch (error) {
    if (!isRefusal(error)) throw error;
    await setCapabilities(qmp, ["events", "return-path"]);
    return false;
  }
}

async function openMemory(host: Host, guest: Guest, qmp: Qmp): Promise<string> {
  const { network } = host.options;
  const open = async (uri: string) => {
    await qmp.execute("migrate-incoming", { uri });
    return uri;
  };
  if (network.kind === "namespace") {
    return withFreePort(`${guest.id}/memory`, (port) => open(`tcp:${network.fabricAddress}:${port}`));
  }
  await rm(guest.files.migration, { force: true });
  return open(`unix:${guest.files.migration}`);
}

async function openDiskServer(host: Host, guest: Guest, qmp: Qmp): Promise<string> {
  const { network } = host.options;
  const open = async (address: DiskAddress) => {
    const { type, ...data } = socketAddress(address);
    await qmp.execute("nbd-server-start", { addr: { type, data } });
    return diskUri(address, EXPORT);
  };
  let uri: string;
  if (network.kind === "namespace") {
    const at = network.fabricAddress;
    uri = await withFreePort(`${guest.id}/disk`, (port) => open({ kind: "inet", host: at, port }));
  } else {
    await rm(guest.files.nbd, { force: true });
    uri = await open({ kind: "unix", path: guest.files.nbd });
  }
  const what = { type: "nbd", id: EXPORT, "node-name": "root", name: EXPORT, writable: true };
  await qmp.execute("block-export-add", what);
  return uri;
}

async function closeDiskServer(qmp: Qmp): Promise<void> {
  await qmp.execute("nbd-server-stop").catch((error: unknown) => {
    // Stopped by an earlier run of this command.
    if (!isRefusal(error)) throw error;
  });
}

async function arrival(host: Host, qmp: Qmp, call: Call): Promise<void> {
  const { clock } = host.options;
  const until = clock.now() + ARRIVAL_LIMIT_MS;
  for (;;) {
    const { status } = await qmp.execute<{ status: string }>("query-status");
    const migration = await migrationState(qmp);
    if (status !== "inmigrate" && migration.status === "completed") return;
    call.signal.throwIfAborted();
    if (clock.now() >= until) {
      throw new CloudError("unavailable", "compute.migration_incomplete", "The guest has not arrived yet.");
    }
    await qmp.changed(100);
  }
}

/** Takes away what was prepared. A shared disk is the source's. */
async function clear(host: Host, guest: Guest): Promise<void> {
  const mirrored = guest.record.incoming?.mode === "mirror";
  await guest.update({ intent: "stopped" });
  await endProcess(host, guest);
  await removeTaps(host, guest.spec.nics);
  if (mirrored) await rm(host.files.instanceDir(guest.id, "local"), { recursive: true, force: true });
  await rm(guest.files.dir, { recursive: true, force: true });
  guest.forget();
}

async function hasRoom(host: Host, diskBytes: number): Promise<boolean> {
  const { bavail, bsize } = await statfs(host.options.stateDir);
  return bavail * bsize >= diskBytes;
}

function guestRunning(): CloudError {
  return new CloudError("conflict", "compute.guest_running", "The guest is on this host.");
}
