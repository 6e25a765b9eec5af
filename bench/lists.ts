import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { benchCloud } from "./support/cloud.ts";
import { type MeasuredLoad, median, underLoad } from "./support/load.ts";
import { publish } from "./support/section.ts";

/** Lists, against bare node:http that sends the same bytes from the same process. */
const ROUNDS = Number(process.argv[2] ?? 5);
/** Rounds until the compiler has done its work. */
const WARM_UP = 3;
const SERVERS = 2000;

const cloud = await benchCloud({ hosts: 3 });
const { address } = cloud.program.server;
const servers = await cloud.addServers(SERVERS, 3);
await cloud.addVolumes(100);
/** Asked once each and then long not again, so that no answer is known. */
const otherPages = servers.slice(0, SERVERS - 100).map((id) => `/compute/v2.1/servers/detail?limit=100&marker=${id}`);
const DETAIL = "/compute/v2.1/servers/detail?limit=100";
const LISTS = [
  { paths: [DETAIL], what: "servers/detail, 100 rows", count: 100, peer: "Nova 363 ms" },
  { paths: otherPages, what: "the same, another page each time", count: 100, peer: "" },
  { paths: ["/compute/v2.1/servers?limit=100"], what: "servers, 100 rows", count: 200, peer: "" },
  { paths: ["/compute/v2.1/os-services"], what: "os-services, 5 rows", count: 300, peer: "Nova 23 ms" },
  { paths: ["/compute/v2.1/flavors/detail"], what: "flavors/detail", count: 300, peer: "" },
  { paths: ["/volume/v3/volumes/detail?limit=100"], what: "volumes/detail, 100 rows", count: 100, peer: "" },
  { paths: ["/volume/v3/volumes?limit=100"], what: "volumes, 100 rows", count: 200, peer: "" },
  { paths: ["/volume/v3/os-services"], what: "os-services of Block Storage, 4 rows", count: 300, peer: "" },
  { paths: ["/identity/v3/projects"], what: "projects", count: 300, peer: "" },
];
const rows: string[][] = [];
for (const { paths, what, count, peer } of LISTS) {
  const [path = ""] = paths;
  const reply = await fetch(address + path, { headers: cloud.headers });
  const body = Buffer.from(await reply.arrayBuffer());
  if (reply.status !== 200) throw new Error(`${path}: ${reply.status}`);
  const headers = Object.fromEntries(
    [...reply.headers].filter(([name]) => !["connection", "keep-alive", "date"].includes(name)),
  );
  // As long as ours keeps it, so that a client that gets no processor for seconds finds its connection again.
  const bare = createServer({ keepAliveTimeout: 75_000 }, (_request, response) => {
    response.writeHead(200, headers);
    response.end(body);
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  bare.listen(0, "127.0.0.1", resolve);
  await promise;
  const bareAddress = `http://127.0.0.1:${(bare.address() as AddressInfo).port}`;
  const load = (to: string, requests: number): Promise<MeasuredLoad> =>
    underLoad({
      address: to,
      method: "GET",
      paths,
      headers: cloud.headers,
      connections: 8,
      count: requests,
      limitMs: 20_000,
    });
  for (let round = 0; round < WARM_UP; round += 1) {
    await load(address, count);
    await load(bareAddress, count);
  }
  const ours: MeasuredLoad[] = [];
  const bares: MeasuredLoad[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    ours.push(await load(address, count));
    bares.push(await load(bareAddress, count));
  }
  const cpu = median(ours.map((each) => each.cpuUs));
  const bareCpu = median(bares.map((each) => each.cpuUs));
  rows.push([
    what,
    `${(body.length / 1024).toFixed(1)} KiB`,
    `${cpu.toFixed(0)} µs`,
    `${bareCpu.toFixed(0)} µs`,
    `**${(cpu / bareCpu).toFixed(1)}×**`,
    `${Math.round(1e6 / cpu)}/s`,
    peer,
  ]);
  bare.close();
  bare.closeAllConnections();
}
await cloud.program.close();
await publish({
  name: "lists",
  title: "Lists, against bare node:http",
  how: `CPU per request of the serving process, median of ${ROUNDS} rounds each, in turn; 8 connections, SQLite, a valid token. The peer's figures are CPU per request from a quieter run of OpenStack on such a machine, for information.`,
  head: ["list", "body", "CPU", "bare CPU", "ratio (goal ≤ 2)", "per core", "peer"],
  rows,
  notes: [
    "An answer is given again while none of the tables behind it was written to (SQLite only). The page that nobody asked for before shows what making one costs: reading 100 stamps takes 40 to 80 µs as JavaScript objects, each query more 5 to 20 µs, and the marker is looked up. A server that changed since it was last in a list is rendered anew, some 60 µs. A route that reads nothing costs 1.4 to 1.9× (Fastify, the token's hash, a dozen headers, the metrics).",
  ],
});
