import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import { checkedId, writeAtomically } from "./guest-files.ts";

/**
 * What a fence leaves behind in the fenced host's state folder. Its agent may be alive, only cut off from the server, with
 * commands at hand that would start the guest a second time.
 */
export async function markFenced(stateDir: string, serverId: string, epoch: number): Promise<void> {
  await mkdir(markers(stateDir), { recursive: true, mode: 0o700 });
  const before = (await fencedEpoch(stateDir, serverId)) ?? epoch;
  await writeAtomically(marker(stateDir, serverId), String(Math.max(before, epoch)));
}

/** Throws `compute.fenced` for a command that is no newer than the fence; a newer one lifts it. */
export async function requireNotFenced(stateDir: string, serverId: string, epoch: number): Promise<void> {
  const fenced = await fencedEpoch(stateDir, serverId);
  if (fenced === null) return;
  if (epoch <= fenced) {
    throw new CloudError("conflict", "compute.fenced", "The guest was fenced off this host.");
  }
  await liftFence(stateDir, serverId);
}

export async function liftFence(stateDir: string, serverId: string): Promise<void> {
  await rm(marker(stateDir, serverId), { force: true });
}

async function fencedEpoch(stateDir: string, serverId: string): Promise<number | null> {
  const text = await readFile(marker(stateDir, serverId), "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw error;
  });
  return text === null ? null : Number(text);
}

const markers = (stateDir: string): string => join(stateDir, "fenced");
const marker = (stateDir: string, serverId: string): string => join(markers(stateDir), checkedId(serverId));
