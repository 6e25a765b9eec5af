import type { AgentEvent, ProvidedService } from "../protocol/envelope.ts";
import type { VerbDefinition } from "../protocol/verb.ts";
import type { Call } from "./call.ts";

/**
 * How a verb runs:
 * `change`   one at a time per subject, epoch checked, answer kept until the server has it;
 * `control`  like `change`, but beside a running change of the same subject (abort a migration);
 * `read`     beside everything, no epoch, nothing kept: a repeat simply looks again.
 */
export type VerbMode = "change" | "control" | "read";

export interface VerbHandler {
  readonly definition: VerbDefinition;
  readonly mode: VerbMode;
  /** `input` has passed the definition's schema. */
  run(input: unknown, call: Call): Promise<unknown>;
}

/** One service on this host: what it tells the server and what it can be told to do. A new service is one more of these. */
export interface AgentService {
  /** `compute`, `block-storage`, …: the type in its service records. */
  readonly service: string;
  readonly verbs: ReadonlyMap<string, VerbHandler>;
  /** Whether what it provides changes by itself, as free space does. It is then looked at every now and then. */
  readonly factsChange: boolean;
  /** Service records with fresh facts. */
  provided(): Promise<ProvidedService[]>;
  /** Facts of everything of ours that exists on this host. */
  inventory(): Promise<unknown[]>;
  /** Calls `listener` for what happens by itself; returns the way to end it. */
  subscribe(listener: (event: AgentEvent) => void): () => void;
  /** Releases what this process holds. Workloads go on. */
  close(): Promise<void>;
}
