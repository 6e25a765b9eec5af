import { errorEnvelope, htmlEnvelope } from "../../../kernel/http/envelopes.ts";
import type { ErrorRenderer, Face } from "../../../kernel/http/face.ts";

/** Identity shows no facts of an error but the supported login methods. */
const identityError: ErrorRenderer = (fault) => {
  const { identity } = fault.fields;
  return errorEnvelope({ ...fault, fields: identity === undefined ? {} : { identity } });
};

export const identityFace: Face = {
  name: "identity",
  root: "/identity",
  versionPath: "/v3",
  project: { mode: "none" },
  contentType: { json: ["application/json"], otherwise: 400 },
  errors: {
    render: identityError,
    unrouted: htmlEnvelope,
    unroutedNeedsToken: false,
    wrongMethod: 405,
  },
  requestIdHeaders: ["x-openstack-request-id"],
  vary: ["X-Auth-Token"],
  pagination: { style: "object", maxLimit: 1000 },
  adminRule: "admin_required",
};
