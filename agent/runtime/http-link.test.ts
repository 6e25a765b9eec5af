import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { type TestContext, test } from "node:test";
import { createWebSocketStream, WebSocketServer } from "ws";
import { systemClock } from "../../kernel/clock/clock.ts";
import { CloudError } from "../../kernel/errors/cloud-error.ts";
import { systemIds } from "../../kernel/ids/ids.ts";
import { silentLogger } from "../../kernel/log/logger.ts";
import { createSimComputeDriver } from "../drivers/compute/sim/sim-compute-driver.ts";
import { SimWorld } from "../drivers/compute/sim/sim-world.ts";
import { testSpecs } from "../sim/testing/test-specs.ts";
import { computeService } from "./compute-service.ts";
import { httpLink } from "./http-link.ts";
import { readIdentity, writeIdentity } from "./identity-file.ts";
import { startAgent } from "./start-agent.ts";
import { SmallServer } from "./testing/small-server.ts";

const never = new AbortController().signal;

async function readJson(request: IncomingMessage) {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return JSON.parse(Buffer.concat(parts).toString());
}

/** The small server behind real sockets; a poll with nothing to say is held until `release`. */
async function listen(t: TestContext, small: SmallServer) {
  const held = new Set<() => void>();
  small.subscribe(() => {
    for (const answer of held) answer();
  });
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const json = (value: unknown) => response.end(JSON.stringify(value));
    const host = /^Bearer secret of (.+)$/.exec(request.headers.authorization ?? "")?.[1];
    const url = request.url ?? "";
    if (url === "/v1/agents/join") json(await small.join(await readJson(request)));
    else if (host === undefined) response.writeHead(401).end();
    else if (url === "/v1/agents/report") {
      await small.report(host, await readJson(request));
      json({});
    } else if (url === "/v1/agents/poll") {
      const body = await readJson(request);
      const reply = await small.poll(host, body);
      if (reply.commands.length + reply.forget.length + reply.revoked.length === 0 && body.waitMs > 0) {
        await new Promise<void>((resolve) => {
          held.add(resolve);
          response.on("close", resolve);
        });
        json(await small.poll(host, body));
      } else json(reply);
    } else Readable.from(await small.fetchImage(host, url.split("/").at(-1) ?? "")).pipe(response);
  }
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      const status = error instanceof CloudError && error.kind === "notFound" ? 404 : 503;
      response.writeHead(status).end();
    });
  });
  const sockets = new WebSocketServer({ server });
  sockets.on("connection", (socket) => {
    const stream = createWebSocketStream(socket);
    stream.pipe(stream);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(async () => {
    sockets.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function until(look: () => boolean | undefined): Promise<void> {
  const limit = systemClock.now() + 10_000;
  while (!look()) {
    assert.ok(systemClock.now() < limit, "not within ten seconds");
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test("joins, refuses by kind, streams images and consoles", async (t) => {
  const small = new SmallServer();
  const link = httpLink({ url: await listen(t, small) });
  const identity = await link.join({ host: "h", token: "good" }, never);
  assert.equal(identity.credential, "secret of h");
  const session = link.open(identity);
  t.after(() => session.close());
  const stranger = link.open({ hostId: "x", credential: "guess" });
  t.after(() => stranger.close());
  await assert.rejects(
    stranger.report({ results: [], progress: [], events: [] }, never),
    (error) => error instanceof CloudError && error.kind === "unauthenticated",
  );
  small.images.set("i", [Buffer.from("ab"), Buffer.from("cd")]);
  const parts: Buffer[] = [];
  for await (const part of await session.fetchImage("i", never)) parts.push(Buffer.from(part));
  assert.equal(Buffer.concat(parts).toString(), "abcd");
  await assert.rejects(
    session.fetchImage("none", never),
    (error) => error instanceof CloudError && error.kind === "notFound",
  );
  const console = await session.openConsole("s", never);
  console.write("hello");
  const [echo] = await console.take(1).toArray();
  assert.equal(String(echo), "hello");
  console.destroy();
});

test("a server that is not there is unavailable; an abort says why", async (t) => {
  const dead = httpLink({ url: "http://127.0.0.1:1" });
  await assert.rejects(
    dead.join({ host: "h", token: "good" }, never),
    (error) => error instanceof CloudError && error.kind === "unavailable",
  );
  const small = new SmallServer();
  const session = httpLink({ url: await listen(t, small) }).open({ hostId: "h", credential: "secret of h" });
  t.after(() => session.close());
  const abort = new AbortController();
  const held = session.poll({ bootId: "b", known: [], waitMs: 60_000 }, abort.signal);
  await until(() => small.host("h").polls.length > 0);
  abort.abort(new Error("enough"));
  await assert.rejects(held, /enough/);
});

test("a whole agent over HTTP works, survives the server's absence and its own restart", async (t) => {
  const stateDir = mkdtempSync(join(tmpdir(), "agent-"));
  t.after(() => rmSync(stateDir, { recursive: true }));
  const small = new SmallServer();
  const link = httpLink({ url: await listen(t, small) });
  assert.equal(await readIdentity(stateDir), undefined);
  await writeIdentity(stateDir, await link.join({ host: "h", token: "good" }, never));
  assert.equal(statSync(join(stateDir, "identity.json")).mode & 0o777, 0o600);
  const identity = await readIdentity(stateDir);
  assert.ok(identity);
  const world = new SimWorld({ clock: systemClock });
  world.addHost({ name: "h" });
  const start = () =>
    startAgent({
      stateDir,
      link,
      identity,
      services: (session) => [computeService(createSimComputeDriver({ world, host: "h" }), session.openConsole)],
      clock: systemClock,
      ids: systemIds,
      random: () => 0,
      log: silentLogger,
      setLogLevels: () => {},
    });
  const spec = testSpecs().next();
  const command = (key: string) => ({
    key,
    verb: "compute.ensure",
    subject: spec.serverId,
    epoch: 1,
    input: { spec, power: "running" },
    timeLeftMs: 60_000,
  });
  const agent = await start();
  await until(() => small.host("h").polls.length >= 2);
  small.send("h", command("k1"));
  await until(() => small.results.has("k1"));
  small.away = true;
  small.send("h", command("k2"));
  small.away = false;
  await until(() => small.results.has("k2"));
  await agent.stop();
  const again = await start();
  await until(() => small.host("h").polls.some((poll) => (poll.inventory?.compute?.length ?? 0) === 1));
  small.send("h", command("k3"));
  await until(() => small.results.has("k3"));
  await again.stop();
});
