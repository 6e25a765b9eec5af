import assert from "node:assert/strict";
import { once } from "node:events";
import { after, describe, it } from "node:test";
import { WebSocket } from "ws";
import { CloudError } from "../errors/cloud-error.ts";
import { type Route, route } from "./route.ts";
import type { HttpServerOptions } from "./server.ts";
import { eventStream } from "./sse.ts";
import { exampleFace, exampleServer, READER, tokens } from "./testing.ts";

function gate() {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

function start(routes: Route[], more: Partial<HttpServerOptions> = {}) {
  const server = exampleServer({ faces: [{ face: exampleFace, routes }], ...more });
  return server.listen({ host: "127.0.0.1", port: 0 }).then((address) => ({ server, address }));
}

const root = { at: "root", auth: "none", method: "GET" } as const;

describe("a listening server", () => {
  it("finishes what is in flight when it closes, and tells long polls to end", async () => {
    const entered = gate();
    const { server, address } = await start([
      route({
        ...root,
        name: "poll",
        path: "/poll",
        async handler(request) {
          entered.open();
          await once(request.closing, "abort");
          return { body: "ended" };
        },
      }),
    ]);
    const reply = fetch(`${address}/compute/poll`);
    await entered.opened;
    await server.close();
    assert.equal(await (await reply).text(), '"ended"');
    await assert.rejects(fetch(`${address}/compute/poll`));
  });

  it("cuts what does not end in time", async () => {
    const entered = gate();
    const { server, address } = await start([
      route({
        ...root,
        name: "stuck",
        path: "/stuck",
        handler(request) {
          entered.open();
          return new Promise((resolve) => request.signal.addEventListener("abort", () => resolve(undefined)));
        },
      }),
    ]);
    const reply = assert.rejects(fetch(`${address}/compute/stuck`));
    await entered.opened;
    await server.close(10);
    await reply;
  });

  it("aborts the request's signal when the client goes away", async () => {
    const entered = gate();
    const gone = gate();
    const { server, address } = await start([
      route({
        ...root,
        name: "wait",
        path: "/wait",
        async handler(request) {
          entered.open();
          await once(request.signal, "abort");
          gone.open();
          return undefined;
        },
      }),
    ]);
    const client = new AbortController();
    const reply = assert.rejects(fetch(`${address}/compute/wait`, { signal: client.signal }));
    await entered.opened;
    client.abort();
    await gone.opened;
    await reply;
    await server.close();
  });

  it("streams events until the server stops", async () => {
    const { server, address } = await start([
      route({
        ...root,
        name: "events",
        path: "/events",
        handler: (request) =>
          eventStream(
            request,
            (async function* () {
              yield { id: "1", event: "progress", data: { percent: 5 } };
              await once(request.closing, "abort");
            })(),
          ),
      }),
    ]);
    const reply = await fetch(`${address}/compute/events`);
    assert.equal(reply.headers.get("content-type"), "text/event-stream");
    const reader = reply.body?.pipeThrough(new TextDecoderStream()).getReader();
    let seen = "";
    while (!seen.includes("percent")) seen += (await reader?.read())?.value ?? "";
    assert.match(seen, /id: 1\nevent: progress\ndata: \{"percent":5\}\n\n/);
    const ended = (async () => {
      while (!(await reader?.read())?.done);
    })().catch(() => undefined);
    await server.close();
    await ended;
  });

  it("hands raw bodies of any size and type to the handler, still behind the token", async () => {
    const { server, address } = await start([
      route({
        name: "upload",
        method: "PUT",
        path: "/upload",
        policy: "authenticated",
        rawBody: true,
        async handler(request) {
          let bytes = 0;
          for await (const chunk of request.bodyStream) bytes += chunk.length;
          return { body: { bytes } };
        },
      }),
    ]);
    const url = `${address}/compute/v2.1/upload`;
    const body = Buffer.alloc(300_000, 7);
    const type = { "content-type": "application/octet-stream" };
    const reply = await fetch(url, { method: "PUT", headers: tokens(READER, type), body });
    assert.deepEqual(await reply.json(), { bytes: 300_000 });
    const refused = await fetch(url, { method: "PUT", headers: type, body: "small" });
    assert.equal(refused.status, 401);
    await server.close();
  });
});

describe("WebSockets", () => {
  const agents = {
    async authenticateAgent(credential: string) {
      if (credential !== "good") throw new CloudError("unauthenticated", "test", "no");
      return { hostId: "1", host: "host-1" };
    },
  };
  const sockets: HttpServerOptions["sockets"] = [
    {
      name: "console",
      path: "/console/:id",
      auth: "none",
      protocols: ["binary"],
      accept(request) {
        if (request.query.get("token") !== "let-me-in") throw new CloudError("forbidden", "test", "no");
        return (socket) => socket.on("message", (data) => socket.send(`${request.param("id")}:${data}`));
      },
    },
    {
      name: "agent",
      path: "/agent",
      auth: "agent",
      accept: (request) => (socket) => socket.send(request.agent?.host ?? "nobody"),
    },
  ];

  it("are routed by path, guarded, and closed with the server", async () => {
    const { server, address } = await start([], { sockets, agentAuthenticator: agents });
    const base = address.replace("http", "ws");
    const socket = new WebSocket(`${base}/console/a%20b?token=let-me-in`, ["base64", "binary"]);
    await once(socket, "open");
    assert.equal(socket.protocol, "binary");
    socket.send("hello");
    assert.equal(String((await once(socket, "message"))[0]), "a b:hello");
    assert.match((await server.inject("/metrics")).body, /pileus_websockets_open\{route="console"\} 1/);
    const closed = once(socket, "close");
    await server.close();
    assert.equal((await closed)[0], 1001);
  });

  it("refuse with a status before the handshake", async () => {
    const { server, address } = await start([], { sockets, agentAuthenticator: agents });
    const base = address.replace("http", "ws");
    const statusOf = async (path: string, headers = {}) => {
      const socket = new WebSocket(base + path, { headers });
      socket.on("error", () => undefined);
      const [, response] = await once(socket, "unexpected-response");
      socket.terminate();
      return response.statusCode;
    };
    assert.equal(await statusOf("/console/1"), 403);
    assert.equal(await statusOf("/nothing"), 404);
    assert.equal(await statusOf("/agent"), 401);
    assert.equal(await statusOf("/agent", { authorization: "Bearer bad" }), 401);
    const socket = new WebSocket(`${base}/agent`, { headers: { authorization: "Bearer good" } });
    assert.equal(String((await once(socket, "message"))[0]), "host-1");
    await server.close();
  });
});

describe("the kernel's own paths", () => {
  let broken = false;
  const server = exampleServer({
    cors: { origins: ["https://console.example"] },
    healthChecks: [
      {
        name: "store",
        check() {
          if (broken) throw new Error("secret address");
        },
      },
    ],
  });
  after(() => server.close());

  it("/healthz runs the checks and says which fails, not why", async () => {
    assert.deepEqual((await server.inject("/healthz")).json(), { status: "ok", checks: [{ name: "store", ok: true }] });
    broken = true;
    const reply = await server.inject("/healthz");
    assert.equal(reply.statusCode, 503);
    assert.doesNotMatch(reply.body, /secret/);
  });

  it("/metrics counts by route, status and method", async () => {
    await server.inject({ url: "/compute/v2.1/servers", headers: tokens(READER) });
    await server.inject({ url: "/compute/v2.1/servers" });
    const { body, headers } = await server.inject("/metrics");
    assert.match(String(headers["content-type"]), /^text\/plain; version=0\.0\.4/);
    const labels = 'face="compute",route="servers.list"';
    assert.match(body, new RegExp(`pileus_http_requests_total\\{${labels},method="GET",status="200"\\} 1`));
    assert.match(body, new RegExp(`pileus_http_requests_total\\{${labels},method="GET",status="401"\\} 1`));
    assert.match(body, new RegExp(`pileus_http_request_duration_seconds_count\\{${labels}\\} 2`));
  });

  it("lets browsers of configured origins in, and no others", async () => {
    const ask = (origin: string, method: "OPTIONS" | "GET") =>
      server.inject({ method, url: "/compute/v2.1/servers", headers: tokens(READER, { origin }) });
    const preflight = await ask("https://console.example", "OPTIONS");
    assert.equal(preflight.statusCode, 200);
    assert.match(String(preflight.headers["access-control-allow-headers"]), /X-Auth-Token/);
    const good = await ask("https://console.example", "GET");
    assert.equal(good.headers["access-control-allow-origin"], "https://console.example");
    assert.deepEqual(good.headers.vary, ["OpenStack-API-Version", "X-OpenStack-Nova-API-Version", "Origin"]);
    const bad = await ask("https://evil.example", "GET");
    assert.equal(bad.headers["access-control-allow-origin"], undefined);
  });
});
