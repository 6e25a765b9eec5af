import { type Static, Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { findServiceOn, type ServicePatch, updateService } from "../../../kernel/fleet/services.ts";
import { notFound } from "../../../kernel/http/http-errors.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import { BodyBoolean, HostName, isTrue } from "../../../kernel/http/schemas.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { mayComeBack, mustBeCompute } from "./service-rules.ts";

const RULE = "os_compute_api:os-services:update";

const Body = Type.Object(
  {
    host: HostName,
    binary: Type.String({ minLength: 1, maxLength: 255 }),
    disabled_reason: Type.Optional(Type.String({ minLength: 1, maxLength: 255 })),
    /** Since 2.11; before, `force-down` is no more there than any other word, whatever its body. */
    forced_down: Type.Optional(BodyBoolean),
  },
  { additionalProperties: false },
);
type Body = Static<typeof Body>;

const ACTIONS = ["enable", "disable", "disable-log-reason", "force-down"];

/** `PUT /os-services/{enable,disable,disable-log-reason,force-down}`, up to 2.52. */
export function serviceUpdatesByHost(deps: FaceDependencies): Route {
  const { store, clock } = deps.kernel;
  return route({
    name: "services.update-by-host",
    method: "PUT",
    path: "/os-services/:id",
    maxVersion: "2.52",
    policy: RULE,
    body: Body,
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
  const forcing = request.version.atLeast("2.11");
  if (!ACTIONS.includes(action) || (action === "force-down" && !forcing)) throw notFound();
  if (forced !== undefined && !forcing)
    throw new CloudError("invalid", "compute.unknown_field", "Additional properties are not allowed: forced_down.");
  if (action === "enable") return { patch: { disabled: 0, disabled_reason: null }, shown: { status: "enabled" } };
  if (action === "disable") return { patch: { disabled: 1 }, shown: { status: "disabled" } };
  if (action === "disable-log-reason") {
    if (reason === undefined) throw missing("disabled_reason");
    const shown = { status: "disabled", disabled_reason: reason };
    return { patch: { disabled: 1, disabled_reason: reason }, shown };
  }
  if (forced === undefined) throw missing("forced_down");
  return { patch: { forced_down: isTrue(forced) ? 1 : 0 }, shown: { forced_down: isTrue(forced) } };
}

function missing(field: string): CloudError {
  return new CloudError("invalid", "compute.missing_field", `Missing ${field} field`);
}
