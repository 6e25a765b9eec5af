import { Type } from "typebox";
import { byVersion, type Route, route } from "../../../kernel/http/route.ts";
import { looseBoolean } from "../../../kernel/http/schemas.ts";
import { invalidVolume } from "../domain/can-volume.ts";
import { updateDetails } from "../store/volumes.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { removeVolume } from "./remove-volume.ts";
import { TextOrNull, VolumeMetadata } from "./schemas.ts";
import { fullView, ruleTarget, volumeOf } from "./volume-lookup.ts";
import { plainVisibility } from "./volume-view.ts";

const UPDATE = "volume:update";
const DELETE = "volume:delete";
const FORCE_DELETE = "volume:force_delete";

const text = Type.Optional(TextOrNull);
const members = {
  name: text,
  display_name: text,
  description: text,
  display_description: text,
  metadata: Type.Optional(Type.Union([VolumeMetadata, Type.Null()])),
};
const updateBody = (strict: boolean) =>
  Type.Object({ volume: Type.Object(members, { additionalProperties: !strict }) });
const Update = updateBody(false);

/** Changes of what users wrote, and deletion. */
export function volumeWrites(deps: FaceDependencies): Route[] {
  const { store, clock } = deps.kernel;
  return [
    route({
      name: "volumes.update",
      method: "PUT",
      path: "/volumes/:id",
      policy: UPDATE,
      body: byVersion({ "3.0": Update, "3.53": updateBody(true) as typeof Update }),
      async handler(request) {
        const volume = await volumeOf(store.read, request);
        request.authorize(UPDATE, ruleTarget(volume));
        const asked = request.body.volume;
        const name = asked.name ?? asked.display_name;
        const description = asked.description ?? asked.display_description;
        const patch = {
          ...(name === undefined ? {} : { name: name?.trim() ?? null }),
          ...(description === undefined ? {} : { description: description?.trim() ?? null }),
          ...(asked.metadata ? { metadata: JSON.stringify(asked.metadata) } : {}),
        };
        if (Object.keys(patch).length === 0) throw invalidVolume("Nothing is to be changed.");
        const row = await store.tx((t) => updateDetails(t, clock, volume.id, patch));
        const changed = { ...row, type_name: volume.type_name };
        return { body: { volume: await fullView(store.read, request, changed, plainVisibility(request)) } };
      },
    }),
    route({
      name: "volumes.delete",
      method: "DELETE",
      path: "/volumes/:id",
      policy: [DELETE, FORCE_DELETE],
      success: 202,
      query: Type.Object({ cascade: Type.Optional(Type.String()), force: Type.Optional(Type.String()) }),
      async handler(request) {
        const volume = await volumeOf(store.read, request);
        const force = request.version.atLeast("3.23") && isAsked(request.query.force);
        request.authorize(force ? FORCE_DELETE : DELETE, ruleTarget(volume));
        const cascade = isAsked(request.query.cascade);
        const { requestId } = request;
        await store.tx((t) => removeVolume(t, deps, { volumeId: volume.id, force, cascade, requestId }));
        return undefined;
      },
    }),
  ];
}

function isAsked(value: string | undefined): boolean {
  if (value === undefined) return false;
  const known = looseBoolean(value);
  if (known === undefined) throw invalidVolume(`Invalid value '${value.slice(0, 40)}' for a boolean.`);
  return known;
}
