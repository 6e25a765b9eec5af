import type { ErrorRenderer, Fault } from "./face.ts";

const JSON_UTF8 = "application/json; charset=UTF-8";

/** `{"<name>": {"code", "message", …fields}}`, the name chosen by status: Compute, Block Storage and their kin. */
export function namedEnvelope(names: Readonly<Record<number, string>>, otherwise: string): ErrorRenderer {
  return (fault) => ({
    body: JSON.stringify({
      [names[fault.status] ?? otherwise]: { code: fault.status, message: fault.message, ...retryAfter(fault) },
    }),
    contentType: JSON_UTF8,
  });
}

/** The names that most services share; spread and override for others. */
export const COMMON_FAULT_NAMES: Readonly<Record<number, string>> = {
  400: "badRequest",
  401: "unauthorized",
  403: "forbidden",
  404: "itemNotFound",
  405: "badMethod",
  409: "conflictingRequest",
  413: "overLimit",
  415: "badMediaType",
  429: "overLimit",
  501: "notImplemented",
  503: "serviceUnavailable",
};

/** `{"error": {"code", "title", "message"}}`: Identity, and the token check in front of every service. */
export const errorEnvelope: ErrorRenderer = (fault) => ({
  body: JSON.stringify({
    error: { code: fault.status, title: fault.title, message: fault.message, ...fault.fields },
  }),
  contentType: "application/json",
});

/** `{"<key>": {"type", "message", "detail"}}`: Network. `typeOf` names the fault. */
export function typedEnvelope(key: string, typeOf: (fault: Fault) => string): ErrorRenderer {
  return (fault) => ({
    body: JSON.stringify({ [key]: { type: typeOf(fault), message: fault.message, detail: "" } }),
    contentType: "application/json",
  });
}

/** `{"message", "code": "404 Not Found", "title"}`: the Python framework's own answers, for unrouted paths. */
export const frameworkEnvelope: ErrorRenderer = (fault) => ({
  body: JSON.stringify({
    message: fault.message,
    code: `${fault.status} ${fault.title}`,
    title: fault.title,
  }),
  contentType: "application/json",
});

/** A short HTML page: Image's errors, Identity's unrouted paths. */
export const htmlEnvelope: ErrorRenderer = (fault) => {
  const title = `${fault.status} ${fault.title}`;
  const body = `<html>\n <head>\n  <title>${title}</title>\n </head>\n <body>\n  <h1>${title}</h1>\n  ${escapeHtml(fault.message)}<br /><br />\n </body>\n</html>`;
  return { body, contentType: "text/html; charset=UTF-8" };
};

/** `{"error": {"code", "message", "requestId"}}` with our own stable codes: Pileus' own API. */
export const plainEnvelope: ErrorRenderer = (fault) => ({
  body: JSON.stringify({
    error: { code: fault.code, message: fault.message, requestId: fault.requestId, ...fault.fields },
  }),
  contentType: "application/json",
});

function retryAfter(fault: Fault): { retryAfter?: string } {
  const value = fault.fields.retryAfter;
  return value === undefined ? {} : { retryAfter: String(value) };
}

function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
