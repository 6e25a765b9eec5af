import { Readable } from "node:stream";
import type { ApiRequest } from "./request.ts";
import type { ApiResponse } from "./response.ts";

/** One server-sent event. `id` comes back as `Last-Event-ID` when the client reconnects. */
export interface ServerEvent {
  readonly id?: string;
  readonly event?: string;
  /** Sent as JSON. */
  readonly data: unknown;
}

/**
 * An answer that stays open and sends events as they come. It ends with the source, with the client, or when the server
 * shuts down; a source that waits should itself give up when `request.signal` or `request.closing` is aborted.
 */
export function eventStream(
  request: Pick<ApiRequest, "signal" | "closing">,
  events: AsyncIterable<ServerEvent>,
): ApiResponse {
  const over = AbortSignal.any([request.signal, request.closing]);
  const stream = Readable.from(texts(events[Symbol.asyncIterator](), over), { objectMode: false });
  return { raw: stream, contentType: "text/event-stream", headers: { "Cache-Control": "no-store" } };
}

async function* texts(events: AsyncIterator<ServerEvent>, over: AbortSignal): AsyncGenerator<string> {
  try {
    yield ": open\n\n";
    for (let next = await nextUnless(over, events); next && !next.done; next = await nextUnless(over, events)) {
      yield eventText(next.value);
    }
  } finally {
    events.return?.().catch(() => undefined);
  }
}

/** The next event, or undefined as soon as it is over. */
function nextUnless(
  over: AbortSignal,
  events: AsyncIterator<ServerEvent>,
): Promise<IteratorResult<ServerEvent> | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<IteratorResult<ServerEvent> | undefined>();
  const stop = () => resolve(undefined);
  if (over.aborted) stop();
  else over.addEventListener("abort", stop, { once: true });
  events
    .next()
    .then(resolve, reject)
    .finally(() => over.removeEventListener("abort", stop));
  return promise;
}

function eventText({ id, event, data }: ServerEvent): string {
  const head =
    (id === undefined ? "" : `id: ${oneLine(id)}\n`) + (event === undefined ? "" : `event: ${oneLine(event)}\n`);
  return `${head}data: ${JSON.stringify(data)}\n\n`;
}

function oneLine(text: string): string {
  return text.replace(/[\r\n]/g, " ");
}
