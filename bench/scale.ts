import { sql } from "kysely";
import { benchCloud } from "./support/cloud.ts";
import { median, underLoad } from "./support/load.ts";
import { publish } from "./support/section.ts";

/** Lists of a cloud of 10,000 simulated hosts, all of them heard, and 100,000 servers. */
const HOSTS = Number(process.argv[2] ?? 10_000);
const SERVERS = HOSTS * 10;
const COUNT = 60;
const ANEW = 15;

const cloud = await benchCloud({ hosts: HOSTS });
const { address, store, http } = cloud.program.server;
const ids = await cloud.addServers(SERVERS, HOSTS);
const middle = ids[Math.floor(ids.length / 2)] ?? "";
const first = async (path: string, key: string): Promise<string> => {
  const body = (await (await fetch(address + path, { headers: cloud.headers })).json()) as Record<
    string,
    { id: string }[]
  >;
  return body[key]?.at(-1)?.id ?? "";
};
const hypervisor = await first("/compute/v2.1/os-hypervisors?limit=500", "hypervisors");
const pages = [
  ["servers, limit 100", "/compute/v2.1/servers?limit=100"],
  ["servers/detail, limit 100", "/compute/v2.1/servers/detail?limit=100"],
  ["servers/detail, limit 100, from the middle", `/compute/v2.1/servers/detail?limit=100&marker=${middle}`],
  ["servers/detail, limit 1000", "/compute/v2.1/servers/detail?limit=1000"],
  ["servers/detail of one host", "/compute/v2.1/servers/detail?all_tenants=1&host=host-7"],
  ["servers by name", "/compute/v2.1/servers?name=server-1000500&limit=100"],
  ["os-services of one host", "/compute/v2.1/os-services?host=host-7"],
  ["os-services, all (no pages in the API)", "/compute/v2.1/os-services"],
  ["os-hypervisors, limit 100", "/compute/v2.1/os-hypervisors?limit=100"],
  ["os-hypervisors/detail, limit 100, from 500", `/compute/v2.1/os-hypervisors/detail?limit=100&marker=${hypervisor}`],
  ["os-migrations, limit 100", "/compute/v2.1/os-migrations?limit=100"],
] as const;

/** CPU of an answer that nobody can have remembered, as servers and services were written to just before; without the wire. */
async function madeAnew(url: string): Promise<number> {
  const took: number[] = [];
  for (let i = 0; i < ANEW; i += 1) {
    await store.tx(async (t) => {
      await sql`UPDATE services SET zone = zone WHERE number = 1`.execute(t.tables());
      await sql`UPDATE compute_hosts SET zone = zone WHERE number = 1`.execute(t.tables());
      await sql`UPDATE servers SET name = name WHERE id = ${middle}`.execute(t.tables());
    });
    const before = process.cpuUsage();
    await http.inject({ url, headers: cloud.headers });
    const { user, system } = process.cpuUsage(before);
    took.push((user + system) / 1000);
  }
  return median(took);
}

const rows: string[][] = [];
for (const [what, path] of pages) {
  const order = { address, method: "GET", paths: [path], headers: cloud.headers, connections: 1, limitMs: 20_000 };
  await underLoad({ ...order, count: 10 });
  const { cpuUs, p50Ms, p99Ms, statuses, bytes, requests } = await underLoad({ ...order, count: COUNT });
  if (statuses["200"] !== requests) throw new Error(`${path}: ${JSON.stringify(statuses)}`);
  rows.push([
    what,
    `${(bytes / requests / 1024).toFixed(0)} KiB`,
    `${(cpuUs / 1000).toFixed(1)} ms`,
    `${(await madeAnew(path)).toFixed(1)} ms`,
    `${p50Ms.toFixed(1)} ms`,
    `${p99Ms.toFixed(1)} ms`,
  ]);
}
const beats = process.cpuUsage();
const began = performance.now();
await new Promise((resolve) => setTimeout(resolve, 12_000));
const { user, system } = process.cpuUsage(beats);
const busy = (user + system) / 1000 / (performance.now() - began);
const memory = process.memoryUsage().rss / 2 ** 20;
await cloud.program.close();
await publish({
  name: "scale",
  title: `${HOSTS.toLocaleString("en")} hosts, ${SERVERS.toLocaleString("en")} servers`,
  how: `One connection, ${COUNT} requests each, while all hosts send their heartbeats to the same process; SQLite. Times are the client's, so they hold the wire and the client too. CPU is of the serving process, heartbeats included. Made anew: the same after a write to what the answer is made from, so that none is remembered, and without the wire.`,
  head: ["page", "body", "CPU at the server (goal < 20 ms)", "made anew", "p50", "p99"],
  rows,
  notes: [
    `At rest, ${HOSTS.toLocaleString("en")} simulated hosts and their heartbeats use ${(busy * 100).toFixed(0)} % of a core; the process, hosts included, has ${memory.toFixed(0)} MiB resident.`,
  ],
});
