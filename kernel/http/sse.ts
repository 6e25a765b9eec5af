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
 * shuts down; the source must end soon after `request.signal` or `request.closing` is aborted.
 */
export function eventStream(request: ApiRequest<never, never>, events: AsyncIterable<ServerEvent>): ApiResponse {
  const stream = Readable.from(texts(events), { objectMode: false });
  request.closing.addEventListener("abort", () => stream.destroy(), { once: true });
  return { raw: stream, contentType: "text/event-stream", headers: { "Cache-Control": "no-store" } };
}

async function* texts(events: AsyncIterable<ServerEvent>): AsyncGenerator<string> {
  yield ": open\n\n";
  for await (const event of events) yield eventText(event);
}

function eventText({ id, event, data }: ServerEvent): string {
  const head =
    (id === undefined ? "" : `id: ${oneLine(id)}\n`) + (event === undefined ? "" : `event: ${oneLine(event)}\n`);
  return `${head}data: ${JSON.stringify(data)}\n\n`;
}

function oneLine(text: string): string {
  return text.replace(/[\r\n]/g, " ");
}
