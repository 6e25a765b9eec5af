import { COMMON_FAULT_NAMES, frameworkEnvelope, namedEnvelope } from "../../../kernel/http/envelopes.ts";
import type { Face } from "../../../kernel/http/face.ts";
import { unknownVersion } from "./version-documents.ts";

export const ROOT = "/compute";
export const MIN_VERSION = "2.1";
export const MAX_VERSION = "2.104";

const COMMON = {
  root: ROOT,
  project: { mode: "optional", mismatchStatus: 400 },
  contentType: { json: ["application/json", "application/vnd.openstack.compute+json"], otherwise: 415 },
  errors: {
    render: namedEnvelope(COMMON_FAULT_NAMES, "computeFault"),
    unrouted: frameworkEnvelope,
    unroutedNeedsToken: true,
    wrongMethod: 404,
    unknownVersion,
  },
  requestIdHeaders: ["x-openstack-request-id", "x-compute-request-id"],
  pagination: { style: "collection", maxLimit: 1000 },
} as const satisfies Partial<Face>;

/** `/compute/v2.1` */
export const computeFace: Face = {
  ...COMMON,
  name: "compute",
  versionPath: "/v2.1",
  microversions: {
    min: MIN_VERSION,
    max: MAX_VERSION,
    default: MIN_VERSION,
    allowLatest: true,
    requestHeaders: [
      {
        name: "openstack-api-version",
        list: { type: "compute", match: "equals", pick: "last", whenAbsent: "ignore" },
      },
      { name: "x-openstack-nova-api-version" },
    ],
    responseHeaders: [{ name: "OpenStack-API-Version", prefix: "compute" }, { name: "X-OpenStack-Nova-API-Version" }],
    vary: ["OpenStack-API-Version", "X-OpenStack-Nova-API-Version"],
  },
};

/** `/compute/v2`: the same API frozen at 2.1; version headers mean nothing here. */
export const legacyFace: Face = {
  ...COMMON,
  name: "compute-legacy",
  versionPath: "/v2",
  microversions: {
    min: MIN_VERSION,
    max: MIN_VERSION,
    default: MIN_VERSION,
    allowLatest: false,
    requestHeaders: [],
    responseHeaders: [],
    vary: [],
  },
};
