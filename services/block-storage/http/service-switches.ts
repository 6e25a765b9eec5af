import { type TSchema, Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { type ServicePatch, updateService } from "../../../kernel/fleet/services.ts";
import type { ServiceRow } from "../../../kernel/fleet/tables.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import { lockScope } from "../store/backends.ts";
import { listVolumeServices } from "../store/services.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { Binary, HostText, Reason, TextOrNull } from "./schemas.ts";

const RULE = "volume_extension:services:update";

const target = {
  binary: Type.Optional(Binary),
  service: Type.Optional(Binary),
  host: Type.Optional(HostText),
  // Clients send it along; it never meant anything here.
  cluster: Type.Optional(TextOrNull),
};
const Plain = Type.Object(target, { additionalProperties: false });
const WithReason = Type.Object({ ...target, disabled_reason: Type.Optional(Reason) }, { additionalProperties: false });

interface Asked {
  readonly binary?: string;
  readonly service?: string;
  readonly host?: string | null;
  readonly disabled_reason?: string;
}

/** `PUT /os-services/enable`, `/disable`, `/disable-log-reason` */
export function serviceSwitchRoutes(deps: FaceDependencies): Route[] {
  return [
    switchRoute("enable", Plain, () => ({ disabled: 0, disabled_reason: null })),
    switchRoute("disable", Plain, () => ({ disabled: 1 })),
    switchRoute("disable-log-reason", WithReason, (asked) => ({
      disabled: 1,
      disabled_reason: asked.disabled_reason ?? null,
    })),
  ];

  function switchRoute(name: string, body: TSchema, patchOf: (asked: Asked) => ServicePatch): Route {
    return route({
      name: `services.${name}`,
      method: "PUT",
      path: `/os-services/${name}`,
      policy: RULE,
      body,
      async handler(request) {
        request.authorize(RULE);
        const asked = request.body as Asked;
        const row = await change(asked, patchOf(asked));
        const answer = {
          host: asked.host,
          service: asked.service ?? "",
          binary: asked.binary ?? "",
          status: row.disabled === 1 ? "disabled" : "enabled",
          disabled: row.disabled === 1,
        };
        return { body: name === "disable" ? answer : { ...answer, disabled_reason: row.disabled_reason } };
      },
    });
  }

  /** The first record that matches, as OpenStack does. Throws 400 when there is nothing to look for, 404 when nothing is found. */
  async function change(asked: Asked, patch: ServicePatch): Promise<ServiceRow> {
    const binary = asked.binary ?? asked.service;
    const { host } = asked;
    if (binary === undefined || host === undefined || host === null)
      throw new CloudError("invalid", "block-storage.no_service_named", "A host and a binary must be given.");
    return await deps.kernel.store.tx(async (t) => {
      const [found] = await listVolumeServices(t, { host, binary });
      if (!found) {
        throw new CloudError(
          "notFound",
          "block-storage.service_not_found",
          `Service ${binary} on host ${host} could not be found.`,
        );
      }
      // Before or after whoever places a volume there, not in between.
      await lockScope(t, found.record.cluster ?? found.record.host);
      return await updateService(t, deps.kernel.clock, found.record.uuid, patch);
    });
  }
}
