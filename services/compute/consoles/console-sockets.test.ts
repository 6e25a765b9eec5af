import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, it } from "node:test";
import { WebSocket } from "ws";
import { systemClock } from "../../../kernel/clock/clock.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { createHttpServer, type HttpServer } from "../../../kernel/http/server.ts";
import { systemIds } from "../../../kernel/ids/ids.ts";
import { Loggers } from "../../../kernel/log/logger.ts";
import { openSqlite, type TestStore } from "../../../kernel/store/testing/stores.ts";
import { type ComputeWorld, computeWorld } from "../testing/compute-world.ts";
import { consoleSockets } from "./console-sockets.ts";
import { ConsoleSessions } from "./sessions.ts";
import { issueConsoleToken } from "./tokens.ts";

let world: ComputeWorld;
let opened: TestStore;
let server: HttpServer;
let address: string;
/** What the agents do when they are told to open a console. */
let onOpen: (host: string, sessionId: string) => void = () => {};

before(async () => {
  world = await computeWorld(async (migrations) => {
    opened = await openSqlite(migrations);
    return opened;
  });
  const sessions = new ConsoleSessions(systemClock, systemIds);
  server = createHttpServer({
    faces: [],
    loggers: new Loggers({ destination: { write: () => undefined } }),
    clock: systemClock,
    ids: systemIds,
    policy: { revision: 0, enforce: () => {}, check: () => true },
    authenticator: {
      authenticate: async () => {
        throw new CloudError("unauthenticated", "http.unauthenticated", "no");
      },
    },
    agentAuthenticator: { authenticateAgent: async (credential) => ({ hostId: credential, host: credential }) },
    identityPath: "/identity/v3",
    sockets: consoleSockets({
      store: world.store,
      clock: world.clock,
      sessions,
      broker: {
        output: async () => "",
        open: async (host, _serverId, sessionId) => onOpen(host, sessionId),
      },
    }),
  });
  address = (await server.listen({ host: "127.0.0.1", port: 0 })).replace(/^http/, "ws");
});
after(async () => {
  await server.close(0);
  await world.close();
  await opened.dispose();
});

async function tokenFor(serverId: string): Promise<string> {
  return await world.store.tx((t) => issueConsoleToken(t, world.deps.kernel, { serverId, type: "serial" }));
}

function agentJoins(host: string, sessionId: string): WebSocket {
  return new WebSocket(`${address}/v1/agents/consoles/${sessionId}`, { headers: { authorization: `Bearer ${host}` } });
}

async function refusal(socket: WebSocket): Promise<string> {
  const [error] = (await once(socket, "error")) as [Error];
  return error.message;
}

it("passes bytes between a client and the guest, and closes both", async () => {
  const { id } = await world.givenServer();
  onOpen = (host, sessionId) => {
    const agent = agentJoins(host, sessionId);
    agent.on("message", (data) => agent.send(`guest heard: ${String(data)}`));
    agent.on("open", () => agent.send("login: "));
  };
  const client = new WebSocket(`${address}/console/serial?token=${await tokenFor(id)}`, "binary");
  const [greeting] = await once(client, "message");
  assert.equal(String(greeting), "login: ");
  client.send("root\n");
  const [echo] = await once(client, "message");
  assert.equal(String(echo), "guest heard: root\n");
  client.close();
  await once(client, "close");
});

it("refuses bad and expired tokens, and agents that nobody waits for", async () => {
  const { id } = await world.givenServer();
  const expired = await tokenFor(id);
  world.clock.advance(11 * 60_000);
  for (const token of ["", "nonsense", expired]) {
    assert.match(await refusal(new WebSocket(`${address}/console/serial?token=${token}`)), /401/);
  }
  assert.match(await refusal(agentJoins("host-1", world.ids.uuid())), /404/);
});

it("lets only the server's own host join", async () => {
  const { id } = await world.givenServer();
  let refused: Promise<string> | undefined;
  onOpen = (host, sessionId) => {
    refused = refusal(agentJoins("host-2", sessionId)).finally(() => agentJoins(host, sessionId));
  };
  const client = new WebSocket(`${address}/console/serial?token=${await tokenFor(id)}`);
  await once(client, "open");
  assert.match((await refused) ?? "", /404/);
  client.close();
  await once(client, "close");
});
