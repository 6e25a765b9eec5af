import { type ApiVersion, versionNumber } from "./api-version.ts";

/**
 * What one microversion changed. The domain speaks the newest shape: for a client below `since`, `down` takes the
 * change out of an answer and `up` puts what the domain expects into a request. Both change the object they are given.
 */
export interface VersionStep<Answer, Request = never> {
  readonly since: string;
  /** What the microversion is about, for readers. */
  readonly name: string;
  down?(answer: Answer): void;
  up?(request: Request): void;
}

/** The steps of one resource, chosen once per version. */
export class VersionSteps<Answer, Request = never> {
  readonly #newestFirst: readonly { readonly since: number; readonly step: VersionStep<Answer, Request> }[];
  readonly #down = new Map<number, readonly VersionStep<Answer, Request>[]>();
  readonly #up = new Map<number, readonly VersionStep<Answer, Request>[]>();

  constructor(steps: readonly VersionStep<Answer, Request>[]) {
    this.#newestFirst = steps
      .map((step) => ({ since: versionNumber(step.since), step }))
      .sort((a, b) => b.since - a.since);
  }

  /** Turns an answer of the newest shape into that of `version`, newest change first. Changes and returns it. */
  down(version: ApiVersion, answer: Answer): Answer {
    for (const step of this.#steps(this.#down, version, false)) step.down?.(answer);
    return answer;
  }

  /** Turns a request of `version` into one of the newest shape, oldest change first. Changes and returns it. */
  up(version: ApiVersion, request: Request): Request {
    for (const step of this.#steps(this.#up, version, true)) step.up?.(request);
    return request;
  }

  #steps(cache: Map<number, readonly VersionStep<Answer, Request>[]>, version: ApiVersion, oldestFirst: boolean) {
    let steps = cache.get(version.number);
    if (!steps) {
      const later = this.#newestFirst.filter(({ since }) => since > version.number).map(({ step }) => step);
      steps = oldestFirst ? later.filter((step) => step.up).reverse() : later.filter((step) => step.down);
      cache.set(version.number, steps);
    }
    return steps;
  }
}

/** `versionSteps<ServerView>([{ since: "2.19", name: "description", down: (s) => delete s.description }])`. */
export function versionSteps<Answer, Request = never>(
  steps: readonly VersionStep<Answer, Request>[],
): VersionSteps<Answer, Request> {
  return new VersionSteps(steps);
}
