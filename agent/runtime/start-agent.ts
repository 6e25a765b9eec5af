import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../kernel/clock/clock.ts";
import type { IdSource } from "../../kernel/ids/ids.ts";
import type { Logger } from "../../kernel/log/logger.ts";
import type { JoinReply } from "../protocol/envelope.ts";
import { Agent } from "./agent.ts";
import type { AgentService } from "./agent-service.ts";
import { ImageCache } from "./image-cache.ts";
import { PollLoop } from "./poll-loop.ts";
import { SchemaChecks } from "./schema-checks.ts";
import type { ServerLink, ServerSession } from "./server-link.ts";
import { SqliteJournal } from "./sqlite-journal.ts";

export interface StartAgentOptions {
  /** Journal and image cache live here; one agent at a time. */
  stateDir: string;
  link: ServerLink;
  identity: JoinReply;
  services(session: ServerSession): readonly AgentService[];
  clock: Clock;
  ids: IdSource;
  /** Numbers in [0, 1), for jitter. */
  random: () => number;
  log: Logger;
  setLogLevels(levels: Record<string, string>): void;
  /** How long the server may hold a poll open, milliseconds. */
  waitMs?: number;
}

export interface RunningAgent {
  /** Ends in good order; guests go on. */
  stop(): Promise<void>;
}

/** A real host's agent: durable journal, image cache, and a poll loop of its own. */
export async function startAgent(options: StartAgentOptions): Promise<RunningAgent> {
  const { stateDir, link, identity, clock, ids, random, log, setLogLevels, waitMs } = options;
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  const session = link.open(identity);
  const images = new ImageCache({ dir: join(stateDir, "images"), fetchImage: session.fetchImage });
  const agent = new Agent({
    bootId: ids.uuid(),
    session,
    services: options.services(session),
    journal: new SqliteJournal(join(stateDir, "journal.sqlite")),
    checks: new SchemaChecks(),
    clock,
    random,
    log,
    image: (source, signal) => images.path(source, signal),
    setLogLevels,
  });
  const loop = new PollLoop({ agent, session, clock, random, log, ...(waitMs === undefined ? {} : { waitMs }) });
  loop.start();
  return {
    async stop() {
      await loop.stop();
      await agent.stop();
      session.close();
    },
  };
}
