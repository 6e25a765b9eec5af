import { readFile } from "node:fs/promises";
import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import type { Qmp } from "../../../process/qmp.ts";
import type { Nic } from "../../../protocol/compute.ts";
import type { CardTraffic, DiskTraffic, GuestDiagnostics } from "../../../protocol/diagnostics.ts";
import { tapName } from "../network/host-network.ts";
import { ip, linkExists } from "../network/ip-command.ts";
import type { Guest } from "./guest.ts";
import type { Host } from "./host.ts";

/** Linux counts in these for programs, whatever its own clock does. */
const TICKS_PER_S = 100;
const NS_PER_TICK = 1_000_000_000 / TICKS_PER_S;

/** What a running guest has used, from QEMU and from the kernel's books of its process and taps. */
export async function diagnose(host: Host, guest: Guest): Promise<GuestDiagnostics> {
  const pid = await guest.pid();
  const power = await guest.power();
  if (pid === null || (power !== "running" && power !== "paused")) throw notRunning();
  const qmp = await guest.qmp();
  const { ramMiB, nics } = guest.spec;
  return {
    uptimeS: await uptimeOf(pid),
    cpus: await processors(qmp, pid),
    nics: await Promise.all(nics.map((nic) => traffic(host, nic))),
    disks: await disks(qmp),
    memory: { maximumMiB: guest.record.started?.ramMiB ?? ramMiB, usedMiB: await residentMiB(pid) },
  };
}

async function processors(qmp: Qmp, pid: number): Promise<GuestDiagnostics["cpus"]> {
  const cpus = await qmp.execute<{ "cpu-index": number; "thread-id": number }[]>("query-cpus-fast");
  return await Promise.all(
    cpus.map(async (cpu) => {
      const fields = await statFields(`/proc/${pid}/task/${cpu["thread-id"]}/stat`);
      return { id: cpu["cpu-index"], timeNs: (fields.userTicks + fields.systemTicks) * NS_PER_TICK };
    }),
  );
}

async function uptimeOf(pid: number): Promise<number> {
  const { startTicks } = await statFields(`/proc/${pid}/stat`);
  const bootedS = Number.parseFloat(await readFile("/proc/uptime", "utf8"));
  return Math.max(0, Math.floor(bootedS - startTicks / TICKS_PER_S));
}

/** proc(5): fields are counted after the name, which may hold blanks and brackets. */
async function statFields(path: string): Promise<{ userTicks: number; systemTicks: number; startTicks: number }> {
  const text = await readFile(path, "utf8").catch(() => {
    throw notRunning();
  });
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const field = (number: number) => Number(fields[number - 3] ?? 0);
  return { userTicks: field(14), systemTicks: field(15), startTicks: field(22) };
}

async function residentMiB(pid: number): Promise<number | null> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
  return kib === undefined ? null : Math.round(Number(kib) / 1024);
}

interface BlockStats {
  readonly qdev?: string;
  readonly stats: Readonly<Record<string, number>>;
}

async function disks(qmp: Qmp): Promise<DiskTraffic[]> {
  const blocks = await qmp.execute<BlockStats[]>("query-blockstats");
  return blocks
    .filter((block) => block.qdev?.includes("/disk-"))
    .map(({ stats }) => ({
      readBytes: stats.rd_bytes ?? 0,
      readRequests: stats.rd_operations ?? 0,
      writeBytes: stats.wr_bytes ?? 0,
      writeRequests: stats.wr_operations ?? 0,
      errors: (stats.failed_rd_operations ?? 0) + (stats.failed_wr_operations ?? 0),
    }));
}

interface LinkCounters {
  readonly bytes: number;
  readonly packets: number;
  readonly errors: number;
  readonly dropped: number;
}

/** What a tap receives is what the guest sends. User-mode networking counts nothing. */
async function traffic(host: Host, { portId, mac }: Nic): Promise<CardTraffic> {
  const counters = await tapCounters(host, tapName(portId));
  const [rx, tx] = [counters?.tx, counters?.rx];
  return {
    portId,
    mac,
    rxBytes: rx?.bytes ?? null,
    rxPackets: rx?.packets ?? null,
    rxErrors: rx?.errors ?? null,
    rxDrop: rx?.dropped ?? null,
    txBytes: tx?.bytes ?? null,
    txPackets: tx?.packets ?? null,
    txErrors: tx?.errors ?? null,
    txDrop: tx?.dropped ?? null,
  };
}

async function tapCounters(host: Host, tap: string): Promise<{ rx: LinkCounters; tx: LinkCounters } | undefined> {
  if (host.netns === null || !(await linkExists(host.netns, tap))) return undefined;
  const [link] = JSON.parse(await ip(host.netns, "-j", "-s", "link", "show", "dev", tap)) as {
    stats64?: { rx: LinkCounters; tx: LinkCounters };
  }[];
  return link?.stats64;
}

function notRunning(): CloudError {
  return new CloudError("conflict", "compute.guest_not_running", "The guest is not running.");
}
