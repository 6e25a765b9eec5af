import type { Clock } from "../../clock/clock.ts";
import type { ServerEvent } from "../../http/sse.ts";
import type { Store } from "../../store/store.ts";
import { CHANGED_CHANNEL } from "../channels.ts";
import { isFinal, type OperationView, showOperation } from "../queries.ts";
import { operationBody, type Viewer } from "./operation-views.ts";

/** A notification may get lost with a database connection, so whoever waits looks again by itself this often. */
const LOOK_AGAIN_MS = 5_000;

export interface Watching {
  readonly store: Store;
  readonly clock: Clock;
  /** Ends the watch. */
  readonly over: AbortSignal;
}

/** Ids of operations that change, from its making until `close`. */
class ChangeFeed {
  readonly #watching: Watching;
  readonly #pending = new Set<string>();
  readonly #unlisten: () => void;
  #wake: () => void = () => {};

  constructor(watching: Watching, only?: string) {
    this.#watching = watching;
    this.#unlisten = watching.store.listen(CHANGED_CHANNEL, (id) => {
      if (only !== undefined && id !== only) return;
      this.#pending.add(id);
      this.#wake();
    });
  }

  /** What has changed since the last call, each once; waits for something, and answers nothing when it is time to look anyway. */
  async next(): Promise<string[]> {
    const { clock, over } = this.#watching;
    if (this.#pending.size === 0 && !over.aborted) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const stop = () => resolve();
      this.#wake = stop;
      const timer = clock.after(LOOK_AGAIN_MS, stop);
      over.addEventListener("abort", stop);
      await promise;
      timer.cancel();
      over.removeEventListener("abort", stop);
    }
    const ids = [...this.#pending];
    this.#pending.clear();
    return ids;
  }

  close(): void {
    this.#unlisten();
    this.#wake();
  }
}

/** The operation when it has ended, or as it is when the watch is over; undefined when there is none. */
export async function whenEnded(watching: Watching, id: string) {
  const feed = new ChangeFeed(watching, id);
  try {
    for (;;) {
      const found = await showOperation(watching.store.read, id);
      if (!found || isFinal(found.operation.state) || watching.over.aborted) return found;
      await feed.next();
    }
  } finally {
    feed.close();
  }
}

/** The operation as it is now and after each change, to its end. */
export async function* eventsOf(watching: Watching, id: string, viewer: Viewer): AsyncGenerator<ServerEvent> {
  const feed = new ChangeFeed(watching, id);
  let last = "";
  try {
    while (!watching.over.aborted) {
      const found = await showOperation(watching.store.read, id);
      if (!found) return;
      const text = JSON.stringify(found.operation);
      if (text !== last) yield eventOf(found.operation, viewer);
      last = text;
      if (isFinal(found.operation.state)) return;
      await feed.next();
    }
  } finally {
    feed.close();
  }
}

/** Every change of the operations that `wanted` lets through. */
export async function* eventsOfAll(
  watching: Watching,
  viewer: Viewer,
  wanted: (operation: OperationView) => boolean,
): AsyncGenerator<ServerEvent> {
  const feed = new ChangeFeed(watching);
  try {
    while (!watching.over.aborted) {
      for (const id of await feed.next()) {
        const found = await showOperation(watching.store.read, id);
        if (found && wanted(found.operation)) yield eventOf(found.operation, viewer);
      }
    }
  } finally {
    feed.close();
  }
}

function eventOf(operation: OperationView, viewer: Viewer): ServerEvent {
  return { event: "operation", data: { operation: operationBody(operation, viewer) } };
}
