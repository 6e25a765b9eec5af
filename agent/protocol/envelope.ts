import { type Static, Type } from "typebox";

/**
 * How agents and the server talk. The agent makes every connection:
 *
 *   POST /v1/agents/join    {token, host, …}      -> {hostId, credential}            once per host
 *   POST /v1/agents/poll    Bearer credential     -> {commands, revoked, forget}      long-poll, also the heartbeat
 *   POST /v1/agents/report  Bearer credential     -> {}                               results and progress
 *   GET  /v1/agents/images/{id}                   -> bytes of an image
 *   WS   /v1/agents/consoles/{sessionId}          -> raw serial bytes in both directions
 *
 * Commands are delivered at least once, until a result for their key has been reported. The agent keeps, in its own
 * journal, the keys it has started with their results, until the server tells it to forget them, so that a repeat gets
 * the same answer after a restart of either side.
 */
export const JoinRequest = Type.Object({
  token: Type.String(),
  host: Type.String({ pattern: "^[a-zA-Z0-9._-]{1,255}$" }),
});
export type JoinRequest = Static<typeof JoinRequest>;
export const JoinReply = Type.Object({ hostId: Type.String(), credential: Type.String() });
export type JoinReply = Static<typeof JoinReply>;

/** One service that this agent provides, shown as an OpenStack service record. */
export const ProvidedService = Type.Object({
  /** `nova-compute`, `cinder-volume`, … */
  binary: Type.String(),
  /** Service type of the driver behind it: `compute`, `block-storage`, … */
  service: Type.String(),
  /** A service with one record for each backend: the record's host is then `<host>@<backend>`. */
  backend: Type.Optional(Type.String({ pattern: "^[a-zA-Z0-9._-]{1,120}$" })),
  /** Its availability zone, when that is not the one of the cloud. */
  zone: Type.Optional(Type.String({ pattern: "^[a-zA-Z0-9._-]{1,120}$" })),
  /** Facts of the driver, as the service's protocol file defines them. */
  facts: Type.Record(Type.String(), Type.Unknown()),
  /** The cluster whose commands this agent may also take (active/active services), as OpenStack names it: `cluster@backend`. */
  cluster: Type.Union([Type.String(), Type.Null()]),
});
export type ProvidedService = Static<typeof ProvidedService>;

export const Command = Type.Object({
  /** Stable over retries: `<operation id>/<step>/<verb>[/<extra>]`. */
  key: Type.String(),
  verb: Type.String(),
  /** What the epoch protects: usually a server id. The agent refuses an epoch lower than the highest it saw for the subject. */
  subject: Type.String(),
  epoch: Type.Integer(),
  input: Type.Unknown(),
  /**
   * Milliseconds, counted from its arrival. A duration and no point in time: the clocks of hosts and server may be far apart.
   */
  timeLeftMs: Type.Integer(),
});
export type Command = Static<typeof Command>;

export const PollRequest = Type.Object({
  /** New each time the agent process starts: the server sends everything again and compares what runs. */
  bootId: Type.String(),
  /** Sent with the first poll of a boot and whenever it changed. */
  services: Type.Optional(Type.Array(ProvidedService)),
  /** Ids of what really exists on this host by service, sent with the first poll of a boot (adoption). */
  inventory: Type.Optional(Type.Record(Type.String(), Type.Array(Type.Unknown()))),
  /** Keys that the agent works on or has a result for; the server does not send them again. */
  known: Type.Array(Type.String()),
  /** How long the server may hold the request open, milliseconds. */
  waitMs: Type.Integer(),
});
export type PollRequest = Static<typeof PollRequest>;

export const PollReply = Type.Object({
  commands: Type.Array(Command),
  /** Keys to abort: their operation was fenced or cancelled. Their results are no longer wanted. */
  revoked: Type.Array(Type.Object({ key: Type.String(), subject: Type.String(), epoch: Type.Integer() })),
  /** Keys whose results the server has stored; the agent may drop them from its journal. */
  forget: Type.Array(Type.String()),
  /** Logger levels wanted for this agent's process, by logger prefix. */
  logLevels: Type.Record(Type.String(), Type.String()),
});
export type PollReply = Static<typeof PollReply>;

export const Fault = Type.Object({ kind: Type.String(), code: Type.String(), message: Type.String() });

export const CommandResult = Type.Object({
  key: Type.String(),
  /** Epoch of the command that this answers, when known: a refusal of an older delivery is no answer to a newer one. */
  epoch: Type.Optional(Type.Integer()),
  outcome: Type.Union([
    Type.Object({ ok: Type.Literal(true), result: Type.Unknown() }),
    Type.Object({ ok: Type.Literal(false), fault: Fault }),
  ]),
});
export type CommandResult = Static<typeof CommandResult>;

export const CommandProgress = Type.Object({
  key: Type.String(),
  percent: Type.Number(),
  detail: Type.Record(Type.String(), Type.Unknown()),
});
export type CommandProgress = Static<typeof CommandProgress>;

/** Something that happened by itself: a guest died, a guest was shut down from inside. */
export const AgentEvent = Type.Object({
  service: Type.String(),
  kind: Type.String(),
  subject: Type.String(),
  facts: Type.Unknown(),
});
export type AgentEvent = Static<typeof AgentEvent>;

export const ReportRequest = Type.Object({
  results: Type.Array(CommandResult),
  progress: Type.Array(CommandProgress),
  events: Type.Array(AgentEvent),
});
export type ReportRequest = Static<typeof ReportRequest>;
