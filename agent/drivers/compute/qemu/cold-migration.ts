import { mkdir, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import { endHelper, livePid } from "../../../process/pid-file.ts";
import { runCommand } from "../../../process/run-command.ts";
import type { GuestSpec, RootDisk } from "../../../protocol/compute.ts";
import type { Call } from "../../../runtime/call.ts";
import type { ColdMigration } from "../driver.ts";
import { insideNetns } from "../network/ip-command.ts";
import { diskUri, parseDiskUri } from "./disk-uri.ts";
import { checkDisk, exists, putOverImage } from "./disks.ts";
import { withFreePort } from "./free-port.ts";
import type { Guest } from "./guest.ts";
import type { Host } from "./host.ts";

const EXPORT = "disk-copy";
const COPY_LIMIT_MS = 24 * 3_600_000;
/** Reading a copy back is worth its time for small disks only; the transport has its own checksums. */
const COMPARE_UP_TO_BYTES = 256 * 1024 * 1024;

export function coldMigration(host: Host): ColdMigration {
  return {
    serveDisk: (serverId) => serveDisk(host, serverId),
    ensureDiskNotServed: async (serverId) => {
      const guest = await host.guest(serverId);
      await guest.exclusive(() => ensureDiskNotServed(host, guest));
    },
    receiveDisk: (spec, uri, call) => receiveDisk(host, spec, uri, call),
  };
}

/** Ends the process that serves the guest's disk, if there is one. */
export async function ensureDiskNotServed(host: Host, guest: Guest): Promise<void> {
  await endHelper(guest.files.exportPid, guest.files.exportPid, host.options.clock);
  if ((await guest.load()) && guest.record.diskUri !== null) await guest.update({ diskUri: null });
}

/** Serves the file of the guest's layer as it is: what lies in the image is on the other host already. */
async function serveDisk(host: Host, serverId: string): Promise<string | null> {
  const guest = await host.guest(serverId);
  return guest.exclusive(async () => {
    const { rootDisk } = guest.spec;
    if (await guest.isAlive()) {
      throw new CloudError("conflict", "compute.guest_running", "The guest is running.");
    }
    if (rootDisk?.storage !== "local") return null;
    const { diskUri: served } = guest.record;
    if (served !== null && (await livePid(guest.files.exportPid, guest.files.exportPid)) !== null) return served;
    await ensureDiskNotServed(host, guest);
    const uri = await startExport(host, guest, host.files.rootDisk(serverId, rootDisk.storage));
    await guest.update({ diskUri: uri });
    return uri;
  });
}

async function startExport(host: Host, guest: Guest, disk: string): Promise<string> {
  const { network } = host.options;
  const common = ["--fork", "--pid-file", guest.files.exportPid, "--read-only", "--persistent", "--shared=4"];
  const what = ["-f", "raw", "-x", EXPORT, disk];
  if (network.kind === "user") {
    await rm(guest.files.nbd, { force: true });
    await runCommand("qemu-nbd", [...common, "-k", guest.files.nbd, ...what]);
    return diskUri({ kind: "unix", path: guest.files.nbd }, EXPORT);
  }
  return withFreePort(guest.id, async (port) => {
    const listen = ["-b", network.fabricAddress, "-p", String(port)];
    await runCommand(...insideNetns(network.netns, "qemu-nbd", [...common, ...listen, ...what]));
    return diskUri({ kind: "inet", host: network.fabricAddress, port }, EXPORT);
  });
}

/** The copy gets its name when it is complete and checked: a disk that is there was received. */
async function receiveDisk(host: Host, spec: GuestSpec, uri: string | null, call: Call): Promise<void> {
  const guest = await host.guest(spec.serverId);
  await guest.exclusive(async () => {
    if (spec.rootDisk !== null) await ensureCopied(host, spec.serverId, spec.rootDisk, uri, call);
    await guest.adopt(spec);
  });
}

async function ensureCopied(
  host: Host,
  serverId: string,
  rootDisk: RootDisk,
  uri: string | null,
  call: Call,
): Promise<void> {
  const path = host.files.rootDisk(serverId, rootDisk.storage);
  if (await exists(path)) return;
  if (uri === null) {
    throw new CloudError("conflict", "compute.disk_missing", "The server's disk is not on the shared storage.");
  }
  const partial = await copyDisk(host, uri, path, call);
  await putOverImage(host.files, serverId, rootDisk, partial, call);
  await checkDisk(partial, call.signal);
  await rename(partial, path);
  call.progress(100);
}

/** Path of the copy, beside `path`. */
async function copyDisk(host: Host, uri: string, path: string, call: Call): Promise<string> {
  parseDiskUri(uri);
  const partial = `${path}.partial`;
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await rm(partial, { force: true });
  const { signal } = call;
  const onOutput = (text: string) => {
    const percent = Number(/\(([\d.]+)\/100%\)[^(]*$/.exec(text)?.[1]);
    if (Number.isFinite(percent)) call.progress(Math.floor(percent * 0.95));
  };
  const copy = ["convert", "-p", "-f", "raw", "-O", "raw", uri, partial];
  await runCommand(...insideNetns(host.netns, "qemu-img", copy), { signal, onOutput, timeoutMs: COPY_LIMIT_MS });
  if ((await stat(partial)).size <= COMPARE_UP_TO_BYTES) {
    const compare = ["compare", "-q", "-f", "raw", "-F", "raw", uri, partial];
    await runCommand(...insideNetns(host.netns, "qemu-img", compare), { signal, timeoutMs: COPY_LIMIT_MS });
  }
  return partial;
}
