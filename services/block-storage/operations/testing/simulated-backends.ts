import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import type { CallerFactory, CallOptions } from "../../../../kernel/operations/command-caller.ts";

interface Replica {
  readonly volumeId: string;
  /** Its copy lacks writes: it cannot be failed over to. */
  readonly stale: boolean;
}

/** Backends that answer at once: what the operations on whole backends need of agents. */
export class SimulatedBackends {
  readonly targets = ["second"];
  /** Null: the primary serves. */
  active: string | null = null;
  frozen = false;
  /** Refuses everything with this. */
  refusal: CloudError | null = null;
  readonly replicas: Replica[] = [];
  /** Who was told what, oldest first. */
  readonly told: string[] = [];

  readonly callers: CallerFactory = {
    caller: () => async (_table, verb, input, options) => this.#answer(verb, input as never, options) as never,
  };

  #answer(verb: string, input: { backend: string; targetId?: string | null }, options: CallOptions): unknown {
    const to = "cluster" in options.to ? `@${options.to.cluster}` : options.to.host;
    this.told.push(`${to} ${verb} ${input.backend}`);
    if (this.refusal) throw this.refusal;
    switch (verb) {
      case "backend.failover":
        return this.#failOver(input.targetId ?? null);
      case "backend.freeze":
      case "backend.thaw":
        this.frozen = verb === "backend.freeze";
        return {};
      default:
        throw new CloudError("invalid", "agent.unknown_verb", `There is no verb ${verb}.`);
    }
  }

  #failOver(targetId: string | null): unknown {
    const target = targetId ?? this.targets[0] ?? "";
    if (target !== "default" && !this.targets.includes(target))
      throw new CloudError("invalid", "storage.target_unknown", `There is no target ${target}.`);
    this.active = target === "default" ? null : target;
    const fault = { code: "storage.replica_stale", message: "The copy is old." };
    return {
      activeBackendId: this.active,
      volumes: this.replicas.map(({ volumeId, stale }) => ({
        volumeId,
        ok: !stale,
        fault: stale ? fault : null,
        connection: null,
      })),
    };
  }
}
