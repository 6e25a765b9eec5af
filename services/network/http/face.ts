import { frameworkEnvelope, typedEnvelope } from "../../../kernel/http/envelopes.ts";
import type { Face, Fault } from "../../../kernel/http/face.ts";

export const networkFace: Face = {
  name: "network",
  root: "/network",
  versionPath: "/v2.0",
  project: { mode: "none" },
  contentType: { json: ["application/json"], otherwise: 415 },
  errors: {
    render: typedEnvelope("NeutronError", typeOf),
    status: { overQuota: 409 },
    unrouted: frameworkEnvelope,
    unroutedNeedsToken: true,
    wrongMethod: 404,
  },
  requestIdHeaders: ["x-openstack-request-id"],
  pagination: { style: "collection", maxLimit: 1000 },
};

const OUR_CODE = /^network\.(\w+)$/;

/** Our own codes name Neutron's exceptions; other errors have the name of their status. */
function typeOf(fault: Fault): string {
  const own = OUR_CODE.exec(fault.code)?.[1];
  if (own !== undefined) return pascalCase(own);
  if (fault.code === "policy.forbidden") return "PolicyNotAuthorized";
  return `HTTP${fault.title.replaceAll(/[^A-Za-z]/g, "")}`;
}

function pascalCase(words: string): string {
  return words.replaceAll(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
