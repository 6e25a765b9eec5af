import { mkdir, open, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import type { JoinReply } from "../protocol/envelope.ts";

const FILE = "identity.json";

/** This host's identity from its state folder; undefined before it has joined. */
export async function readIdentity(stateDir: string): Promise<JoinReply | undefined> {
  try {
    const { hostId, credential } = JSON.parse(await readFile(join(stateDir, FILE), "utf8")) as JoinReply;
    return { hostId, credential };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Keeps the identity for later starts, readable by nobody else. The token that bought it is spent, so it must not be lost. */
export async function writeIdentity(stateDir: string, identity: JoinReply): Promise<void> {
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  const fresh = join(stateDir, `${FILE}.new`);
  const file = await open(fresh, "w", 0o600);
  try {
    await file.writeFile(JSON.stringify(identity));
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(fresh, join(stateDir, FILE));
}
