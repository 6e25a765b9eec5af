import type { AnyOperation } from "./definition.ts";
import type { ExecutionEnvironment } from "./environment.ts";
import { ExecutionScope } from "./execution-scope.ts";
import { Forward } from "./forward.ts";
import { Crash } from "./hooks.ts";
import { type Journal, LeaseLost } from "./journal.ts";
import { Unwind } from "./unwind.ts";

/** Moves one claimed operation as far as it goes: to its end, to a wait, to a retry, or until the lease is lost. */
export class Execution {
  readonly #scope: ExecutionScope;

  constructor(env: ExecutionEnvironment, definition: AnyOperation, journal: Journal) {
    this.#scope = new ExecutionScope(env, definition, journal);
  }

  /** Rejects only when the store fails; the operation is then left to its lease. */
  async run(): Promise<void> {
    const { op } = this.#scope.journal;
    try {
      for (let more = true; more; ) {
        more = op.direction === "forward" ? await new Forward(this.#scope).run() : await new Unwind(this.#scope).run();
      }
    } catch (error) {
      if (error instanceof Crash || error instanceof LeaseLost) return;
      throw error;
    }
  }

  /** Something about the operation changed in the store: cancel, fencing, signals. */
  async controlChanged(): Promise<void> {
    await this.#scope.controlChanged();
  }

  /** Stops at once and writes nothing more: the process stops, or the lease cannot be renewed. */
  leaseLost(): void {
    this.#scope.stop();
  }
}
