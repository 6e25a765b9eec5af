import { link, mkdir, rm } from "node:fs/promises";
import { dirname } from "node:path";
import type { IdSource } from "../../../../kernel/ids/ids.ts";
import { readJson, syncPath, writeJson } from "./durable-json.ts";

/**
 * What tells an array from the folder that is left when its disk is not mounted: a name that is on the disk from the array's first day
 * (`file`), and that the host keeps elsewhere once it has seen it (`memory`).
 */
export interface ArrayIdentity {
  identity: string;
}

/** Which array has to be there. Makes a new one only where the host has never seen any, and others neither. */
export async function expectedIdentity(file: string, memory: string, ids: IdSource): Promise<string> {
  const known = await readJson<ArrayIdentity>(memory);
  if (known) return known.identity;
  const found = (await readJson<ArrayIdentity>(file)) ?? (await newIdentity(file, ids));
  await mkdir(dirname(memory), { recursive: true, mode: 0o700 });
  await writeJson(memory, found);
  return found.identity;
}

/** Members of a cluster may begin at once: the first one's counts. */
async function newIdentity(file: string, ids: IdSource): Promise<ArrayIdentity> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const made: ArrayIdentity = { identity: ids.uuid() };
  const own = `${file}.${made.identity}`;
  try {
    await writeJson(own, made);
    await link(own, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  } finally {
    await rm(own, { force: true });
  }
  await syncPath(dirname(file));
  return (await readJson<ArrayIdentity>(file)) ?? made;
}
