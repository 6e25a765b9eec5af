import { plainEnvelope } from "./envelopes.ts";
import type { Face } from "./face.ts";

/** A face of Pileus' own API: JSON, no versions and no project in the path, errors as plain objects. */
export function pileusFace(face: {
  readonly name: string;
  readonly root: string;
  /** It serves those who have no token: what it does not know is not found, whoever asks. */
  readonly forStrangers?: true;
  readonly bodyLimit?: number;
}): Face {
  const { name, root, forStrangers = false, bodyLimit } = face;
  return {
    name,
    root,
    versionPath: "",
    project: { mode: "none" },
    contentType: { json: ["application/json"], otherwise: 415 },
    errors: {
      render: plainEnvelope,
      unrouted: plainEnvelope,
      unroutedNeedsToken: !forStrangers,
      wrongMethod: forStrangers ? 404 : 405,
    },
    requestIdHeaders: ["x-openstack-request-id"],
    pagination: { style: "links", maxLimit: 1000 },
    ...(bodyLimit === undefined ? {} : { bodyLimit }),
  };
}
