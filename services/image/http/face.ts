import { htmlEnvelope } from "../../../kernel/http/envelopes.ts";
import type { Face } from "../../../kernel/http/face.ts";

export const PATCH_TYPES = [
  "application/openstack-images-v2.1-json-patch",
  "application/openstack-images-v2.0-json-patch",
] as const;

export const imageFace: Face = {
  name: "image",
  root: "/image",
  versionPath: "/v2",
  project: { mode: "none" },
  contentType: { json: ["application/json", ...PATCH_TYPES], otherwise: 415 },
  errors: {
    render: htmlEnvelope,
    status: { overQuota: 413 },
    unrouted: htmlEnvelope,
    unroutedNeedsToken: true,
    wrongMethod: 405,
  },
  requestIdHeaders: ["x-openstack-request-id"],
  pagination: { style: "path", maxLimit: 1000 },
};

/** Rows of a list that asks for no limit. */
export const DEFAULT_PAGE = 25;
