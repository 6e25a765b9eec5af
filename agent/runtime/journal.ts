import type { CommandResult } from "../protocol/envelope.ts";

export type Outcome = CommandResult["outcome"];

/**
 * What an agent must remember over its own death: which epochs it has seen, so that an older runner stays refused, and
 * the answers it has given, so that a repeated command gets the same one. Calls return when the fact is durable.
 */
export interface Journal {
  /** Highest epoch seen for the subject; -1 when none. */
  highestEpoch(subject: string): number;
  /** Remembers `epoch` when it is higher than what is known. */
  raiseEpoch(subject: string, epoch: number): void;
  /** Forgets the epochs that have not been seen again since the last call but one. See `Agent.nextPoll` for when that is safe. */
  ageEpochs(): void;
  begin(key: string, subject: string, epoch: number): void;
  finish(key: string, outcome: Outcome): void;
  outcome(key: string): Outcome | undefined;
  /** Every finished key with its answer. */
  finished(): { key: string; outcome: Outcome }[];
  finishedKeys(): string[];
  forget(keys: readonly string[]): void;
  close(): void;
}

/** For simulated agents: lives as long as the object, which outlives the agents that a test kills. */
export class MemoryJournal implements Journal {
  #epochs = new Map<string, number>();
  #olderEpochs = new Map<string, number>();
  readonly #outcomes = new Map<string, Outcome | null>();

  highestEpoch(subject: string): number {
    return this.#epochs.get(subject) ?? this.#olderEpochs.get(subject) ?? -1;
  }

  raiseEpoch(subject: string, epoch: number): void {
    if (epoch >= this.highestEpoch(subject)) this.#epochs.set(subject, epoch);
  }

  ageEpochs(): void {
    this.#olderEpochs = this.#epochs;
    this.#epochs = new Map();
  }

  begin(key: string, subject: string, epoch: number): void {
    this.raiseEpoch(subject, epoch);
    this.#outcomes.set(key, null);
  }

  finish(key: string, outcome: Outcome): void {
    this.#outcomes.set(key, outcome);
  }

  outcome(key: string): Outcome | undefined {
    return this.#outcomes.get(key) ?? undefined;
  }

  finished(): { key: string; outcome: Outcome }[] {
    const all: { key: string; outcome: Outcome }[] = [];
    for (const [key, outcome] of this.#outcomes) if (outcome) all.push({ key, outcome });
    return all;
  }

  finishedKeys(): string[] {
    return this.finished().map(({ key }) => key);
  }

  forget(keys: readonly string[]): void {
    for (const key of keys) this.#outcomes.delete(key);
  }

  close(): void {}
}
