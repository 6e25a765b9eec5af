import type { Qmp } from "../../../process/qmp.ts";

/** QEMU's view of a migration; sizes in bytes. */
export interface MigrationState {
  status?: string;
  "error-desc"?: string;
  downtime?: number;
  ram?: { total: number; remaining: number; transferred: number };
}

/** Everything that this driver ever switches. */
const CAPABILITIES = [
  "events",
  "return-path",
  "pause-before-switchover",
  "postcopy-ram",
  "auto-converge",
  "multifd",
  "xbzrle",
  "compress",
  "rdma-pin-all",
  "release-ram",
  "background-snapshot",
  "dirty-bitmaps",
  "late-block-activate",
];

/**
 * Switches `on` and off everything else: a process keeps its capabilities, and what an earlier migration left would fail the
 * next one.
 */
export async function setCapabilities(qmp: Qmp, on: readonly string[]): Promise<void> {
  const known = await qmp.execute<{ capability: string }[]>("query-migrate-capabilities");
  const names = known.map(({ capability }) => capability).filter((name) => CAPABILITIES.includes(name));
  const capabilities = names.map((capability) => ({ capability, state: on.includes(capability) }));
  await qmp.execute("migrate-set-capabilities", { capabilities });
}

export function migrationState(qmp: Qmp): Promise<MigrationState> {
  return qmp.execute<MigrationState>("query-migrate");
}

/** An address of a waiting process, with a mark when it can also take post-copy. */
export function memoryUri(listening: string, postCopy: boolean): string {
  return postCopy ? `${listening}#post-copy` : listening;
}

export function parseMemoryUri(uri: string): { uri: string; postCopy: boolean } {
  const [listening = "", mark] = uri.split("#");
  return { uri: listening, postCopy: mark === "post-copy" };
}

export const isTarget = (uri: string): boolean =>
  /^(tcp:[0-9a-fA-F.:[\]]+:\d{1,5}|unix:\/[^\s#]+)(#post-copy)?$/.test(uri);
