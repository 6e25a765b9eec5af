/** The few kinds of failure. A kind decides the HTTP status (per service, at the edge) and whether a retry can help. */
export type ErrorKind =
  | "invalid"
  | "unauthenticated"
  | "forbidden"
  | "notFound"
  | "conflict"
  | "overQuota"
  | "noCapacity"
  | "unavailable"
  | "internal";

export interface ErrorDetails {
  /** Text for operators: goes to the log, never to a client. */
  internal?: string;
  /** Why, for administrators: kept beside the message wherever that is stored, and shown to nobody else; must hold no secret. */
  reason?: string;
  /** Facts a client may use; must hold no secret. */
  fields?: Record<string, unknown>;
  cause?: unknown;
  /** Overrides the status that the kind maps to, where a service's contract demands another (413, 415, 406, 410 …). */
  httpStatus?: number;
}

/**
 * The one error class. `code` is stable (`service.reason`), `message` is safe to show to a client.
 * Nobody catches by message text; decide by `kind` or `code`.
 */
export class CloudError extends Error {
  override readonly name = "CloudError";
  readonly kind: ErrorKind;
  readonly code: string;
  readonly internal: string | undefined;
  readonly reason: string | undefined;
  readonly fields: Record<string, unknown>;
  readonly httpStatus: number | undefined;

  constructor(kind: ErrorKind, code: string, publicMessage: string, details: ErrorDetails = {}) {
    super(publicMessage, details.cause === undefined ? undefined : { cause: details.cause });
    this.kind = kind;
    this.code = code;
    this.internal = details.internal;
    this.reason = details.reason;
    this.fields = details.fields ?? {};
    this.httpStatus = details.httpStatus;
  }

  /** True when the same call may succeed later without anybody changing anything. */
  get retryable(): boolean {
    return this.kind === "unavailable";
  }
}

/** What of an error may be stored in a journal and, without the reason, shown to its owner. */
export interface PublicFault {
  kind: ErrorKind;
  code: string;
  message: string;
  /** For administrators. */
  reason?: string;
}

/** Unknown errors become `internal` with a neutral text; their own text stays in the log. */
export function publicFault(error: unknown): PublicFault {
  if (error instanceof CloudError) {
    const { kind, code, message, reason } = error;
    return reason === undefined ? { kind, code, message } : { kind, code, message, reason };
  }
  return { kind: "internal", code: "internal.unexpected", message: "An unexpected error occurred." };
}

/** Rebuilds an error from its stored or transmitted form. */
export function errorFromFault({ kind, code, message, reason }: PublicFault): CloudError {
  return new CloudError(kind, code, message, reason === undefined ? {} : { reason });
}

/** For the default branch of an exhaustive switch. */
export function unreachable(value: never): never {
  throw new CloudError("internal", "internal.unreachable", "An unexpected error occurred.", {
    internal: `unexpected value ${String(value)}`,
  });
}
