import { type Static, Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { findServiceOn, type ServicePatch, updateService } from "../../../kernel/fleet/services.ts";
import { notFound } from "../../../kernel/http/http-errors.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { byVersion, type Route, route } from "../../../kernel/http/route.ts";
import { BodyBoolean, HostName, isTrue } from "../../../kernel/http/schemas.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { mayComeBack, mustBeCompute } from "./service-rules.ts";

const RULE = "os_compute_api:os-services:update";

const Fields = {
  host: HostName,
  binary: Type.String({ minLength: 1, maxLength: 255 }),
  disabled_reason: Type.Optional(Type.String({ minLength: 1, maxLength: 255 })),
};
const Closed = { additionalProperties: false };
const Body = Type.Object({ ...Fields, forced_down: Type.Optional(BodyBoolean) }, Closed);
type Body = Static<typeof Body>;

/** `PUT /os-services/{enable,disable,disable-log-reason,force-down}`, up to 2.52. */
export function serviceUpdatesByHost(deps: FaceDependencies): Route {
  const { store, clock } = deps.kernel;
  return route({
    name: "services.update-by-host",
    method: "PUT",
    path: "/os-services/:id",
    maxVersion: "2.52",
    policy: RULE,
    body: byVersion({ "2.1": Type.Object(Fields, Closed) as unknown as typeof Body, "2.11": Body }),
    async handler(request) {
      request.authorize(RULE);
      const { host, binary } = request.body;
      const { patch, shown } = changeOf(request);
      mustBeCompute(binary);
      await store.tx(async (t) => {
        const row = await findServiceOn(t, host, binary);
        if (!row) {
          const why = `Could not find binary ${binary} on host ${host}.`;
          throw new CloudError("notFound", "compute.service_not_found", why);
        }
        if (patch.forced_down === 0) await mayComeBack(t, row);
        await updateService(t, clock, row.uuid, patch);
      });
      return { body: { service: { host, binary, ...shown } } };
    },
  });
}

interface Change {
  readonly patch: ServicePatch;
  readonly shown: Readonly<Record<string, unknown>>;
}

function changeOf(request: ApiRequest<Body, unknown>): Change {
  const { disabled_reason: reason, forced_down: forced } = request.body;
  const action = request.param("id");
  if (action === "enable") return { patch: { disabled: 0, disabled_reason: null }, shown: { status: "enabled" } };
  if (action === "disable") return { patch: { disabled: 1 }, shown: { status: "disabled" } };
  if (action === "disable-log-reason") {
    if (reason === undefined) throw missing("disabled_reason");
    const shown = { status: "disabled", disabled_reason: reason };
    return { patch: { disabled: 1, disabled_reason: reason }, shown };
  }
  if (action === "force-down" && request.version.atLeast("2.11")) {
    if (forced === undefined) throw missing("forced_down");
    return { patch: { forced_down: isTrue(forced) ? 1 : 0 }, shown: { forced_down: isTrue(forced) } };
  }
  throw notFound();
}

function missing(field: string): CloudError {
  return new CloudError("invalid", "compute.missing_field", `Missing ${field} field`);
}
