import type { Clock } from "../clock/clock.ts";
import { Moment } from "../clock/moment.ts";
import type { Credentials } from "../policy/credentials.ts";
import type { Queries, Reading, Store } from "../store/store.ts";
import type { ApiRequest } from "./request.ts";
import type { ApiResponse } from "./response.ts";

/** Makes a body: JSON already, or what becomes JSON. All that it says comes from the request, from `q` and from `moment`. */
type Make = (q: Queries, moment: Moment) => Promise<unknown>;

interface Remembered {
  readonly raw: Buffer;
  readonly reading: Reading;
  readonly moment: Moment;
}

/** Some fifty pages of servers with all their details. */
const MAX_BYTES = 8 * 2 ** 20;
/** What an answer takes beside its bytes, about. */
const OVERHEAD = 1000;

/**
 * Answers to reads, given again to whoever asks the same while nothing has changed that they were made from: lists are
 * polled far more often than what is in them changes. Where others write to the database, too, nothing is remembered.
 */
export class RememberedAnswers {
  readonly #store: Pick<Store, "reading">;
  readonly #clock: Clock;
  readonly #answers = new Map<string, Remembered>();
  readonly #askers = new WeakMap<Credentials, string>();
  #bytes = 0;

  constructor({ store, clock }: { store: Pick<Store, "reading">; clock: Clock }) {
    this.#store = store;
    this.#clock = clock;
  }

  /** To be asked after the policy was: the request is let in each time anew. */
  async of(request: ApiRequest<unknown, unknown>, make: Make): Promise<ApiResponse> {
    const key = this.#keyOf(request);
    const now = this.#clock.now();
    const known = this.#answers.get(key);
    if (known?.reading.isCurrent() && known.moment.holdsAt(now)) return { raw: known.raw };
    const reading = this.#store.reading();
    const moment = new Moment(now);
    const body = await make(reading, moment);
    const raw = body instanceof Buffer ? body : Buffer.from(JSON.stringify(body));
    if (reading.isCurrent()) this.#keep(key, { raw, reading, moment });
    return { raw };
  }

  /** All of a request that an answer may depend on. */
  #keyOf(request: ApiRequest<unknown, unknown>): string {
    const { path, rawQuery, version, urls, context, policyRevision } = request;
    const asked = `${path} ${JSON.stringify(rawQuery)} ${version.text} ${urls.self("")}`;
    return `${asked} ${this.#askerOf(context.credentials)} ${policyRevision}`;
  }

  #askerOf(credentials: Credentials): string {
    let asker = this.#askers.get(credentials);
    if (asker === undefined) {
      asker = JSON.stringify(credentials);
      this.#askers.set(credentials, asker);
    }
    return asker;
  }

  /** Full, it starts anew: simpler than choosing what goes, and as good while a few lists fit. */
  #keep(key: string, answer: Remembered): void {
    if (this.#bytes > MAX_BYTES) {
      this.#answers.clear();
      this.#bytes = 0;
    }
    this.#bytes += sizeOf(answer) - sizeOf(this.#answers.get(key));
    this.#answers.set(key, answer);
  }
}

function sizeOf(answer: Remembered | undefined): number {
  return answer === undefined ? 0 : answer.raw.length + OVERHEAD;
}
