import { type Static, Type } from "typebox";
import { isoMicros } from "../../../kernel/clock/clock.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { pageBody, pageOf, pageQuery } from "../../../kernel/http/pagination.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { byVersion, type Route, route } from "../../../kernel/http/route.ts";
import { nextNumber } from "../../../kernel/store/counters.ts";
import { certificateFingerprint, generateSshKey, sshFingerprint } from "../domain/ssh-keys.ts";
import { countKeypairs, deleteKeypair, findKeypair, insertKeypair, listKeypairs } from "../store/keypairs.ts";
import { quotasOf } from "../store/quotas.ts";
import type { KeypairRow } from "../store/tables.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { lockQuotas, overQuota } from "./quota-check.ts";
import type { Json } from "./server-view.ts";

const RULE = "os_compute_api:os-keypairs";
const closed = { additionalProperties: false };
const OldName = Type.String({ minLength: 1, maxLength: 255, pattern: "^(?! )[a-zA-Z0-9_ -]+(?<! )$" });
const NewName = Type.String({ minLength: 1, maxLength: 255, pattern: "^(?! )[a-zA-Z0-9._@ -]+(?<! )$" });
const PublicKey = Type.String({ minLength: 1, maxLength: 65_535 });
const KeyType = Type.Enum(["ssh", "x509"]);
const UserId = Type.String({ minLength: 1, maxLength: 255 });

const BASE = { name: OldName, public_key: Type.Optional(PublicKey) };
const TYPED = { ...BASE, type: Type.Optional(KeyType) };
const OWNED = { ...TYPED, user_id: Type.Optional(UserId) };
const NewestBody = Type.Object({ keypair: Type.Object({ ...OWNED, name: NewName }, closed) }, closed);
const body = (keypair: object) =>
  Type.Object({ keypair: Type.Object(keypair as typeof BASE, closed) }, closed) as unknown as typeof NewestBody;

const Owner = { user_id: Type.Optional(UserId) };
const ListQuery = Type.Object({ ...Owner, ...pageQuery });
const OneQuery = Type.Object(Owner);
const oneQuery = byVersion<typeof OneQuery>({ "2.1": Type.Object({}) as unknown as typeof OneQuery, "2.10": OneQuery });

/** SSH keys and certificates of users. */
export function keypairRoutes(deps: FaceDependencies): Route[] {
  const { store } = deps.kernel;
  const q = store.read;
  return [
    route({
      name: "keypairs.list",
      method: "GET",
      path: "/os-keypairs",
      policy: `${RULE}:index`,
      query: byVersion<typeof ListQuery>({
        "2.1": Type.Object({}) as unknown as typeof ListQuery,
        "2.10": OneQuery as unknown as typeof ListQuery,
        "2.35": ListQuery,
      }),
      strictQueryFrom: "2.75",
      async handler(request) {
        const owner = request.query.user_id ?? request.context.userId;
        request.authorize(`${RULE}:index`, { user_id: owner });
        const { limit, marker } = pageOf(request, deps.settings.maxLimit);
        if (marker !== undefined && !(await findKeypair(q, owner, marker))) {
          throw new CloudError("invalid", "compute.marker", `marker [${marker}] not found`);
        }
        const rows = limit === 0 ? [] : await listKeypairs(q, owner, { limit, marker });
        const keypairs = rows.map((row) => ({ keypair: summary(row, request) }));
        if (request.version.below("2.35")) return { body: { keypairs } };
        const markerOf = (each: { keypair: Json }) => String(each.keypair.name);
        return { body: pageBody(request, "keypairs", keypairs, { limit, markerOf }) };
      },
    }),
    route({
      name: "keypairs.create",
      method: "POST",
      path: "/os-keypairs",
      policy: `${RULE}:create`,
      body: byVersion<typeof NewestBody>({
        "2.1": body(BASE),
        "2.2": body(TYPED),
        "2.10": body(OWNED),
        "2.92": body({ ...OWNED, name: NewName, public_key: PublicKey }),
      }),
      async handler(request) {
        const created = await create(deps, request);
        return { status: request.version.atLeast("2.2") ? 201 : 200, body: { keypair: created } };
      },
    }),
    route({
      name: "keypairs.show",
      method: "GET",
      path: "/os-keypairs/:name",
      policy: `${RULE}:show`,
      query: oneQuery,
      strictQueryFrom: "2.75",
      async handler(request) {
        const owner = request.query.user_id ?? request.context.userId;
        request.authorize(`${RULE}:show`, { user_id: owner });
        const row = await findKeypair(q, owner, request.param("name"));
        if (!row) throw notFound(owner, request.param("name"));
        return {
          body: {
            keypair: {
              ...summary(row, request),
              user_id: row.user_id,
              id: row.number,
              created_at: isoMicros(row.created_at),
              updated_at: null,
              deleted: false,
              deleted_at: null,
            },
          },
        };
      },
    }),
    route({
      name: "keypairs.delete",
      method: "DELETE",
      path: "/os-keypairs/:name",
      policy: `${RULE}:delete`,
      query: oneQuery,
      strictQueryFrom: "2.75",
      async handler(request) {
        const owner = request.query.user_id ?? request.context.userId;
        request.authorize(`${RULE}:delete`, { user_id: owner });
        const name = request.param("name");
        if (!(await store.tx((t) => deleteKeypair(t, owner, name)))) throw notFound(owner, name);
        return { status: request.version.atLeast("2.2") ? 204 : 202 };
      },
    }),
  ];
}

async function create(deps: FaceDependencies, request: ApiRequest<Static<typeof NewestBody>>): Promise<Json> {
  const { store, clock } = deps.kernel;
  const { keypair } = request.body;
  const owner = keypair.user_id ?? request.context.userId;
  request.authorize(`${RULE}:create`, { user_id: owner });
  const type = keypair.type ?? "ssh";
  if (type === "x509" && keypair.public_key === undefined) {
    throw new CloudError("invalid", "compute.invalid_keypair", "Certificates are only imported, not generated.");
  }
  const generated = keypair.public_key === undefined ? await generateSshKey() : undefined;
  const publicKey = generated?.publicKey ?? keypair.public_key ?? "";
  const fingerprint = type === "ssh" ? sshFingerprint(publicKey) : certificateFingerprint(publicKey);
  const row = await store.tx(async (t) => {
    await lockQuotas(t);
    const limit = (await quotasOf(t, request.context.projectId ?? "")).key_pairs;
    if (limit >= 0 && (await countKeypairs(t, owner)) >= limit) {
      throw overQuota("key_pairs", "Maximum number of key pairs exceeded");
    }
    const number = await nextNumber(t, "compute.keypair");
    const wanted: KeypairRow = {
      number,
      user_id: owner,
      name: keypair.name,
      type,
      public_key: publicKey,
      fingerprint,
      created_at: clock.now(),
    };
    if (await insertKeypair(t, wanted)) return wanted;
    throw new CloudError("conflict", "compute.keypair_exists", `Key pair '${keypair.name}' already exists.`);
  });
  const secret = generated ? { private_key: generated.privateKey } : {};
  return { ...summary(row, request), user_id: owner, ...secret };
}

function summary(row: KeypairRow, request: Pick<ApiRequest, "version">): Json {
  return {
    name: row.name,
    public_key: row.public_key,
    fingerprint: row.fingerprint,
    ...(request.version.atLeast("2.2") ? { type: row.type } : {}),
  };
}

function notFound(owner: string, name: string): CloudError {
  return new CloudError("notFound", "compute.keypair_not_found", `Keypair ${name} not found for user ${owner}`);
}
