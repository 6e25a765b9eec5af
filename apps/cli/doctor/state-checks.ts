import { existsSync } from "node:fs";
import { access, constants, readdir, statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isStateInUse } from "../../state-lock.ts";
import type { Finding } from "./finding.ts";

/** Below this, guests soon have no room. */
const LITTLE_GIB = 5;

export async function checkState(stateDir: string): Promise<Finding> {
  const check = "state folder";
  const there = nearestThatExists(stateDir);
  const writable = await access(there, constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  );
  if (!writable) {
    const found = `${stateDir}: ${there} is not writable`;
    return { check, level: "problem", found, advice: "Choose another with --state." };
  }
  const { bavail, bsize } = await statfs(there);
  const freeGiB = (bavail * bsize) / 2 ** 30;
  const found = `${stateDir}: ${await contents(stateDir)}; ${freeGiB.toFixed(0)} GiB free`;
  if (freeGiB >= LITTLE_GIB) return { check, level: "ok", found };
  return { check, level: "limited", found, advice: "That is little for guests; choose another folder with --state." };
}

async function contents(stateDir: string): Promise<string> {
  if (!existsSync(join(stateDir, "clouds.yaml"))) return "no cloud yet";
  const hosts = await readdir(join(stateDir, "hosts")).catch(() => []);
  const what = hosts.length === 0 ? "a cloud without local hosts" : `a cloud with ${hosts.length} local hosts`;
  return `${what}, ${(await isStateInUse(stateDir)) ? "running" : "not running"}`;
}

function nearestThatExists(path: string): string {
  return existsSync(path) || dirname(path) === path ? path : nearestThatExists(dirname(path));
}
