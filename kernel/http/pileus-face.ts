import { plainEnvelope } from "./envelopes.ts";
import type { Face } from "./face.ts";

/** A face of Pileus' own API: JSON, no versions and no project in the path, errors as plain objects. */
export function pileusFace(face: {
  readonly name: string;
  readonly root: string;
  /** Whether a path that does not exist asks for a token first; not where strangers call. */
  readonly unroutedNeedsToken: boolean;
  readonly wrongMethod: Face["errors"]["wrongMethod"];
  readonly bodyLimit?: number;
}): Face {
  const { name, root, unroutedNeedsToken, wrongMethod, bodyLimit } = face;
  return {
    name,
    root,
    versionPath: "",
    project: { mode: "none" },
    contentType: { json: ["application/json"], otherwise: 415 },
    errors: { render: plainEnvelope, unrouted: plainEnvelope, unroutedNeedsToken, wrongMethod },
    requestIdHeaders: ["x-openstack-request-id"],
    pagination: { style: "links", maxLimit: 1000 },
    ...(bodyLimit === undefined ? {} : { bodyLimit }),
  };
}
