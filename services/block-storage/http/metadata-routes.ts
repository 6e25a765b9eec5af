import { Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { own, without } from "../../../kernel/http/own.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import { invalidVolume } from "../domain/can-volume.ts";
import { getSnapshot, transitionSnapshot } from "../store/snapshots.ts";
import { getVolume, updateDetails } from "../store/volumes.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { VolumeMetadata } from "./schemas.ts";
import { snapshotOf } from "./snapshot-lookup.ts";
import { ruleTarget, volumeOf } from "./volume-lookup.ts";

const Body = Type.Object({ metadata: VolumeMetadata }, { additionalProperties: false });
const OneBody = Type.Object({ meta: VolumeMetadata }, { additionalProperties: false });

type Asking = ApiRequest<unknown, unknown>;
type Pairs = Readonly<Record<string, string>>;

/** What has metadata: how it is read and changed, each after its rule was asked. */
interface Subject {
  readonly name: string;
  readonly rules: Readonly<Record<"get" | "create" | "update" | "delete", string>>;
  read(request: Asking): Promise<Pairs>;
  write(request: Asking, rule: string, change: (old: Pairs) => Pairs): Promise<Pairs>;
}

/** `/volumes/{id}/metadata` */
export function volumeMetadataRoutes({ kernel: { store, clock } }: FaceDependencies): Route[] {
  const rules = {
    get: "volume:get_volume_metadata",
    create: "volume:create_volume_metadata",
    update: "volume:update_volume_metadata",
    delete: "volume:delete_volume_metadata",
  };
  return metadataRoutes({
    name: "volumes",
    rules,
    async read(request) {
      const volume = await volumeOf(store.read, request);
      request.authorize(rules.get, ruleTarget(volume));
      return pairsOf(volume);
    },
    async write(request, rule, change) {
      const { id, status, ...volume } = await volumeOf(store.read, request);
      request.authorize(rule, ruleTarget(volume));
      if (status === "maintenance") throw invalidVolume(`Volume ${id} is in maintenance.`);
      return await store.tx(async (t) => {
        const metadata = change(pairsOf(await getVolume(t, id)));
        await updateDetails(t, clock, id, { metadata: JSON.stringify(metadata) });
        return metadata;
      });
    },
  });
}

/** `/snapshots/{id}/metadata` */
export function snapshotMetadataRoutes({ kernel: { store, clock } }: FaceDependencies): Route[] {
  const rules = {
    get: "volume:get_snapshot_metadata",
    create: "volume:update_snapshot_metadata",
    update: "volume:update_snapshot_metadata",
    delete: "volume:delete_snapshot_metadata",
  };
  return metadataRoutes({
    name: "snapshots",
    rules,
    async read(request) {
      const snapshot = await snapshotOf(store.read, request);
      request.authorize(rules.get, ruleTarget(snapshot));
      return pairsOf(snapshot);
    },
    async write(request, rule, change) {
      const { id, ...snapshot } = await snapshotOf(store.read, request);
      request.authorize(rule, ruleTarget(snapshot));
      return await store.tx(async (t) => {
        const metadata = change(pairsOf(await getSnapshot(t, id)));
        const to = { set: { metadata: JSON.stringify(metadata) } };
        await transitionSnapshot(t, { clock, id, from: null, to, action: "update" });
        return metadata;
      });
    },
  });
}

function pairsOf(row: { readonly metadata: string }): Pairs {
  return JSON.parse(row.metadata) as Pairs;
}

function metadataRoutes({ name, rules, read, write }: Subject): Route[] {
  const path = `/${name}/:id/metadata`;
  return [
    route({
      name: `${name}.metadata.list`,
      method: "GET",
      path,
      policy: rules.get,
      handler: async (request) => ({ body: { metadata: await read(request) } }),
    }),
    route({
      name: `${name}.metadata.add`,
      method: "POST",
      path,
      policy: rules.create,
      body: Body,
      async handler(request) {
        const added = request.body.metadata;
        return { body: { metadata: await write(request, rules.create, (old) => ({ ...old, ...added })) } };
      },
    }),
    route({
      name: `${name}.metadata.replace`,
      method: "PUT",
      path,
      policy: rules.update,
      body: Body,
      async handler(request) {
        const wanted = request.body.metadata;
        return { body: { metadata: await write(request, rules.update, () => wanted) } };
      },
    }),
    route({
      name: `${name}.metadata.show`,
      method: "GET",
      path: `${path}/:key`,
      policy: rules.get,
      async handler(request) {
        const key = request.param("key");
        const value = own(await read(request), key);
        if (value === undefined) throw noKey(key);
        return { body: { meta: { [key]: value } } };
      },
    }),
    route({
      name: `${name}.metadata.set`,
      method: "PUT",
      path: `${path}/:key`,
      policy: rules.update,
      body: OneBody,
      async handler(request) {
        const { meta } = request.body;
        const key = request.param("key");
        await write(request, rules.update, (old) => {
          if (Object.keys(meta).length !== 1 || own(meta, key) === undefined)
            throw new CloudError("invalid", "block-storage.metadata_mismatch", "Request body and URI mismatch");
          return { ...old, ...meta };
        });
        return { body: { meta } };
      },
    }),
    route({
      name: `${name}.metadata.delete`,
      method: "DELETE",
      path: `${path}/:key`,
      policy: rules.delete,
      async handler(request) {
        const key = request.param("key");
        await write(request, rules.delete, (old) => {
          const rest = without(old, key);
          if (!rest) throw noKey(key);
          return rest;
        });
        return undefined;
      },
    }),
  ];
}

function noKey(key: string): CloudError {
  return new CloudError("notFound", "block-storage.metadata_not_found", `There is no metadata with key ${key}.`);
}
