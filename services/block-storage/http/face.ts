import { COMMON_FAULT_NAMES, frameworkEnvelope, namedEnvelope } from "../../../kernel/http/envelopes.ts";
import type { Face } from "../../../kernel/http/face.ts";

export const MIN_VERSION = "3.0";
export const MAX_VERSION = "3.71";

/** `/volume/v3` */
export const blockStorageFace: Face = {
  name: "volume",
  root: "/volume",
  versionPath: "/v3",
  microversions: {
    min: MIN_VERSION,
    max: MAX_VERSION,
    default: MIN_VERSION,
    allowLatest: true,
    requestHeaders: [
      {
        name: "openstack-api-version",
        list: { type: "volume", match: "contains", pick: "first", whenAbsent: "reject" },
      },
    ],
    responseHeaders: [{ name: "OpenStack-API-Version", prefix: "volume" }],
    vary: ["OpenStack-API-Version"],
  },
  project: { mode: "optional", mismatchStatus: 400 },
  contentType: { json: ["application/json"], otherwise: 415 },
  errors: {
    render: namedEnvelope(COMMON_FAULT_NAMES, "computeFault"),
    status: { overQuota: 413 },
    unrouted: frameworkEnvelope,
    unroutedNeedsToken: true,
    wrongMethod: 404,
  },
  requestIdHeaders: ["x-openstack-request-id", "x-compute-request-id"],
  pagination: { style: "collection", maxLimit: 1000 },
  adminRule: "admin_api",
};
