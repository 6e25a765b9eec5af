import { Type } from "typebox";
import { action, actionRoute, type Route } from "../../../kernel/http/route.ts";
import { invalidVolume } from "../domain/can-volume.ts";
import { SNAPSHOT_STATUSES } from "../domain/volume-state.ts";
import { transitionSnapshot } from "../store/snapshots.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { abandonSnapshotWork, removeSnapshot } from "./remove-snapshot.ts";
import { snapshotOf } from "./snapshot-lookup.ts";
import { ruleTarget } from "./volume-lookup.ts";

const ADMIN = "volume_extension:snapshot_admin_actions";

/** `POST /snapshots/{id}/action` */
export function snapshotActionRoutes(deps: FaceDependencies): Route[] {
  const { store, clock } = deps.kernel;
  return [
    actionRoute({
      name: "snapshots.action",
      path: "/snapshots/:id/action",
      actions: [
        action({
          key: "os-reset_status",
          policy: `${ADMIN}:reset_status`,
          body: Type.Object({ status: Type.String({ maxLength: 255 }) }, { additionalProperties: false }),
          async handler(request) {
            const { id, ...snapshot } = await snapshotOf(store.read, request);
            request.authorize(`${ADMIN}:reset_status`, ruleTarget(snapshot));
            const asked = request.body.status.toLowerCase();
            const status = SNAPSHOT_STATUSES.find((known) => known === asked);
            if (!status) throw invalidVolume(`A snapshot cannot be reset to ${asked}.`);
            await store.tx(async (t) => {
              await abandonSnapshotWork(t, deps, id);
              await transitionSnapshot(t, { clock, id, from: null, to: { status }, action: "reset" });
            });
            return undefined;
          },
        }),
        action({
          key: "os-force_delete",
          policy: `${ADMIN}:force_delete`,
          async handler(request) {
            const { id, ...snapshot } = await snapshotOf(store.read, request);
            request.authorize(`${ADMIN}:force_delete`, ruleTarget(snapshot));
            const removal = { snapshotId: id, force: true, requestId: request.requestId };
            await store.tx((t) => removeSnapshot(t, deps, removal));
            return undefined;
          },
        }),
      ],
    }),
  ];
}
