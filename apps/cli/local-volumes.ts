import { createHash } from "node:crypto";
import { access, lstat, mkdir, rm, statfs, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { endStorageDaemons } from "../../agent/drivers/block-storage/file-nbd/end-daemons.ts";
import { systemClock } from "../../kernel/clock/clock.ts";
import { CloudError } from "../../kernel/errors/cloud-error.ts";
import { arraysOf, readAllVolumeBackends, type VolumeBackend } from "../agent/volume-backends.ts";

/** How much of the disk that is free at first the arrays of the local hosts may promise. */
const SHARE_OF_DISK = 0.75;

/** Volume backends of the local hosts: two are members of one cluster, the third replicates to a second array. */
function localBackends(stateDir: string, capacityGiB: number): VolumeBackend[] {
  const array = (name: string): string => join(stateDir, "volumes", name);
  return [
    { name: "shared", hosts: ["host-1", "host-2"], cluster: "pileus@shared", directory: array("shared"), capacityGiB },
    {
      name: "replicated",
      hosts: ["host-3"],
      directory: array("replicated"),
      capacityGiB,
      replicationTargets: [{ id: "second", directory: array("second") }],
    },
  ];
}

/** Flags of an agent for the volumes of its host. What the file says is said once: capacities stay while volumes fill the disk. */
export async function volumeFlags(stateDir: string): Promise<string[]> {
  const file = backendsFile(stateDir);
  if (!(await exists(file))) {
    const { bavail, bsize } = await statfs(stateDir);
    const arrays = 3;
    const capacityGiB = Math.max(1, Math.floor((bavail * bsize * SHARE_OF_DISK) / arrays / 2 ** 30));
    const content = `${JSON.stringify(localBackends(stateDir, capacityGiB), null, 2)}\n`;
    await writeFile(file, content, { mode: 0o600 });
  }
  return ["--volume-backends", file, "--volume-sockets", await ensureRunDir(stateDir)];
}

/** Ends what serves the volumes of the local hosts. For a cloud whose agents and guests have ended. */
export async function stopServingVolumes(stateDir: string): Promise<void> {
  const file = backendsFile(stateDir);
  const backends = (await exists(file)) ? await readAllVolumeBackends(file) : [];
  await endStorageDaemons(backends.flatMap(arraysOf), systemClock);
  await rm(runDirOf(stateDir), { recursive: true, force: true });
}

const backendsFile = (stateDir: string): string => join(stateDir, "volume-backends.json");

/** Not in the state folder: paths of sockets are short. */
function runDirOf(stateDir: string): string {
  const name = `pileus-${createHash("sha256").update(stateDir).digest("hex").slice(0, 6)}`;
  return join(process.getuid?.() === 0 ? "/run" : tmpdir(), name);
}

/** Ours alone: in a folder that all may write to, somebody else could have made it. */
async function ensureRunDir(stateDir: string): Promise<string> {
  const dir = runDirOf(stateDir);
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const found = await lstat(dir);
  if (found.isDirectory() && found.uid === process.getuid?.() && (found.mode & 0o077) === 0) return dir;
  throw new CloudError("conflict", "cli.run_dir_taken", `${dir} belongs to somebody else; remove it.`);
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}
