import type { Readable } from "node:stream";

/**
 * What a handler answers. At most one of `body` (sent as JSON) and `raw` (sent as it is, with `contentType`).
 * Neither: an empty body.
 */
export interface ApiResponse {
  /** The route's `success` when absent. */
  readonly status?: number;
  readonly body?: unknown;
  readonly raw?: string | Buffer | Readable;
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string | string[]>>;
}
