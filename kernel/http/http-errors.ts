import { CloudError } from "../errors/cloud-error.ts";
import { DEFAULT_STATUS, type Face, type Fault } from "./face.ts";
import { STATUS_CODES } from "./node-http.ts";

/** The status that a face answers for an error. */
export function statusOf(face: Face, error: CloudError): number {
  return error.httpStatus ?? face.errors.status?.[error.kind] ?? DEFAULT_STATUS[error.kind];
}

/** The wire form of an error, before a face gives it a body. Anything but a CloudError hides its text. */
export function faultOf(face: Face, error: unknown, requestId: string): Fault {
  const known =
    error instanceof CloudError
      ? error
      : new CloudError("internal", "internal.unexpected", "An unexpected error occurred.", { cause: error });
  const status = statusOf(face, known);
  return {
    status,
    title: STATUS_CODES[status] ?? "Error",
    code: known.code,
    message: known.message,
    fields: known.fields,
    requestId,
  };
}

export const badRequest = (code: string, message: string): CloudError => new CloudError("invalid", code, message);

export const notFound = (): CloudError =>
  new CloudError("notFound", "http.notFound", "The resource could not be found.");

export const tooLarge = (): CloudError =>
  new CloudError("invalid", "http.tooLarge", "The request body is too large.", { httpStatus: 413 });

export const unrouted = (): CloudError =>
  new CloudError("notFound", "http.unrouted", "The resource could not be found.");

export const methodNotAllowed = (): CloudError =>
  new CloudError("invalid", "http.method", "The method is not allowed for this resource.", { httpStatus: 405 });

/** A request that could not be read, with a 4xx status. */
export const requestError = (httpStatus: number, cause: unknown): CloudError =>
  new CloudError("invalid", "http.request", "The request could not be understood.", { httpStatus, cause });

export const unauthenticated = (cause?: unknown): CloudError =>
  new CloudError("unauthenticated", "http.unauthenticated", "The request you have made requires authentication.", {
    cause,
  });

export const malformedProject = (status: number): CloudError =>
  new CloudError("invalid", "http.project", "Malformed request URL: project mismatch.", { httpStatus: status });
