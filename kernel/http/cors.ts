import type { ServerResponse } from "node:http";
import type { Face } from "./face.ts";

/** Which web origins may call the APIs from a browser. */
export interface CorsSettings {
  /** `https://console.example`; `*` for all. Empty: none. */
  readonly origins: readonly string[];
}

const METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE";

/** True when the origin is allowed; the response then says so and exposes the headers that clients of the face read. */
export function allowOrigin(
  settings: CorsSettings,
  face: Face,
  origin: string | undefined,
  response: ServerResponse,
): boolean {
  if (origin === undefined || settings.origins.length === 0) return false;
  if (!settings.origins.includes(origin) && !settings.origins.includes("*")) return false;
  response.setHeader("Access-Control-Allow-Origin", origin);
  response.appendHeader("Vary", "Origin");
  response.setHeader("Access-Control-Expose-Headers", exposed(face).join(", "));
  return true;
}

/** Answers the question a browser asks before it sends a request. */
export function answerPreflight(face: Face, requestedHeaders: string | undefined, response: ServerResponse): void {
  response.statusCode = 200;
  response.setHeader("Access-Control-Allow-Methods", METHODS);
  response.setHeader("Access-Control-Allow-Headers", requestedHeaders ?? allowed(face).join(", "));
  response.setHeader("Access-Control-Max-Age", "3600");
  response.setHeader("Content-Length", "0");
  response.end();
}

function exposed(face: Face): string[] {
  const versions = (face.microversions?.responseHeaders ?? []).map(({ name }) => name);
  return [...face.requestIdHeaders, ...versions, "X-Subject-Token", "Location", "Retry-After"];
}

function allowed(face: Face): string[] {
  const versions = (face.microversions?.requestHeaders ?? []).map(({ name }) => name);
  return ["Content-Type", "X-Auth-Token", "X-Subject-Token", "X-Openstack-Request-Id", ...versions];
}
