import { Type } from "typebox";
import { type Action, action } from "../../../kernel/http/route.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { ruleTarget, volumeOf } from "./volume-lookup.ts";
import { unmanageVolume } from "./volumes-manage.ts";

const RULE = "volume_extension:volume_unmanage";

/** `os-unmanage` */
export function unmanageAction(deps: FaceDependencies): Action {
  return action({
    key: "os-unmanage",
    policy: RULE,
    body: Type.Union([Type.Null(), Type.Object({}, { additionalProperties: false })]),
    async handler(request) {
      const volume = await volumeOf(deps.kernel.store.read, request);
      request.authorize(RULE, ruleTarget(volume));
      await unmanageVolume(deps, { id: volume.id, requestId: request.requestId });
      return undefined;
    },
  });
}
