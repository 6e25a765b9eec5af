import type { RawBuilder } from "kysely";
import { type Static, type TSchema, Type } from "typebox";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { pageBody, pageOf, pageQuery } from "../../../kernel/http/pagination.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import type { PolicyTarget } from "../../../kernel/policy/credentials.ts";
import type { Queries, Store, Tx } from "../../../kernel/store/store.ts";
import { invalidInput, type Missing, missing } from "../domain/faults.ts";
import { isForeignKeyError } from "../store/foreign-key.ts";
import { findRow, type ListSource, listRows } from "../store/list.ts";
import type { Viewer } from "../store/networks.ts";
import { filtersOf, pickFields, sortOf } from "./list-query.ts";

export type View = Record<string, unknown> & { readonly id: string };

interface ResourceRow {
  readonly id: string;
  readonly project_id: string;
}

/**
 * One collection of the API. Neutron treats all of them alike; this says in what they differ.
 * Bodies are the objects inside the envelope. `row` was found and is visible to the caller.
 */
export interface Resource<Row extends ResourceRow, Create extends TSchema, Update extends TSchema> {
  readonly singular: Missing;
  /** Key of lists: `security_groups`. */
  readonly plural: string;
  /** `/security-groups` */
  readonly path: string;
  readonly source: ListSource;
  readonly createBody: Create;
  /** Absent: cannot be updated. */
  readonly updateBody?: Update;
  /** Attributes (and their parts, `fixed_ips:subnet_id`) with rules of their own: `create_network:shared`. */
  readonly guarded?: { readonly create?: readonly string[]; readonly update?: readonly string[] };
  /** Rules that `views` asks. */
  readonly viewRules?: readonly string[];
  /** Narrows the rows to those that the viewer may see; absent for everything. */
  visible(viewer: Viewer): RawBuilder<boolean> | undefined;
  /** What the rules may ask about a row, or about one that is to be created (its body, without an id). */
  target?(q: Queries, row: Partial<Row> & { readonly project_id: string }): Promise<PolicyTarget>;
  /** Before a list, in a transaction of its own. */
  beforeList?(t: Tx, viewer: Viewer): Promise<void>;
  views(q: Queries, rows: readonly Row[], request: ApiRequest): Promise<View[]>;
  create(t: Tx, body: Static<Create>, projectId: string, viewer: Viewer): Promise<Row>;
  update?(t: Tx, row: Row, body: Static<Update>, viewer: Viewer): Promise<Row>;
  /** A row that others still refer to may simply be deleted: the error of the store becomes `inUse`. */
  remove(t: Tx, row: Row, viewer: Viewer): Promise<void>;
  inUse(row: Row): CloudError;
}

/** Fields that every body may have to say whose the resource is. */
export const ownerFields = {
  project_id: Type.Optional(Type.String({ maxLength: 255 })),
  tenant_id: Type.Optional(Type.String({ maxLength: 255 })),
};

export function viewerOf(request: ApiRequest): Viewer {
  return { projectId: request.context.projectId, isAdmin: request.context.isAdmin };
}

/** List, show, create (one or many), update and delete. */
export function resourceRoutes<Row extends ResourceRow, Create extends TSchema, Update extends TSchema>(
  store: Store,
  resource: Resource<Row, Create, Update>,
): Route[] {
  const { singular, plural, path, updateBody } = resource;
  const viewRules = resource.viewRules ?? [];
  const guardedBy = (verb: "create" | "update") =>
    (resource.guarded?.[verb] ?? []).map((name) => `${verb}_${singular}:${name}`);
  const rules = {
    get: [`get_${singular}`, ...viewRules],
    create: [`create_${singular}`, ...guardedBy("create"), ...viewRules],
    update: [`get_${singular}`, `update_${singular}`, ...guardedBy("update"), ...viewRules],
    delete: [`get_${singular}`, `delete_${singular}`],
  };

  const targetOf = async (q: Queries, row: Partial<Row> & { readonly project_id: string }): Promise<PolicyTarget> => ({
    ...row,
    tenant_id: row.project_id,
    ...(await resource.target?.(q, row)),
  });

  const find = async (q: Queries, request: ApiRequest): Promise<{ row: Row; target: PolicyTarget }> => {
    const id = request.param("id");
    const row = await findRow<Row>(q, resource.source, id, resource.visible(viewerOf(request)));
    if (!row) throw missing(singular, id);
    const target = await targetOf(q, row);
    if (!request.check(`get_${singular}`, target)) throw missing(singular, id);
    return { row, target };
  };

  const askFor = (request: ApiRequest, verb: "create" | "update", body: object, target: PolicyTarget) => {
    request.authorize(`${verb}_${singular}`, target);
    for (const name of resource.guarded?.[verb] ?? []) {
      if (mentions(body, name)) request.authorize(`${verb}_${singular}:${name}`, target);
    }
  };

  const one = async (q: Queries, row: Row, request: ApiRequest) => (await resource.views(q, [row], request))[0];

  const routes = [
    route({
      name: `${plural}.list`,
      method: "GET",
      path,
      policy: rules.get,
      query: Type.Object(pageQuery),
      async handler(request) {
        const viewer = viewerOf(request);
        request.authorize(`get_${singular}`, {
          project_id: viewer.projectId,
          tenant_id: viewer.projectId,
          shared: false,
        });
        const { beforeList } = resource;
        if (beforeList) await store.tx((t) => beforeList(t, viewer));
        const query = request.rawQuery;
        const page = pageOf(request);
        const rows = await listRows<Row>(store.read, resource.source, {
          filters: filtersOf(query),
          sort: sortOf(query),
          visible: resource.visible(viewer),
          ...page,
        });
        const views = await resource.views(store.read, rows, request);
        const body = pageBody(request, plural, views, { limit: page.limit, markerOf: (view) => view.id });
        return { body: { ...body, [plural]: views.map(pickFields(query)) } };
      },
    }),
    route({
      name: `${plural}.show`,
      method: "GET",
      path: `${path}/:id`,
      policy: rules.get,
      async handler(request) {
        const { row } = await find(store.read, request);
        const view = await one(store.read, row, request);
        return { body: { [singular]: view && pickFields(request.rawQuery)(view) } };
      },
    }),
    route({
      name: `${plural}.create`,
      method: "POST",
      path,
      policy: rules.create,
      success: 201,
      body: Type.Union([
        Type.Object({ [singular]: resource.createBody }, { additionalProperties: false }),
        Type.Object(
          { [plural]: Type.Array(resource.createBody, { minItems: 1, maxItems: 1000 }) },
          { additionalProperties: false },
        ),
      ]),
      async handler(request) {
        const envelope = request.body as Readonly<Record<string, unknown>>;
        const single = envelope[singular] !== undefined;
        const bodies = (single ? [envelope[singular]] : envelope[plural]) as readonly (Static<Create> & object)[];
        const views = await store.tx(async (t) => {
          const rows: Row[] = [];
          for (const body of bodies) {
            const projectId = ownerOf(body, request);
            askFor(request, "create", body, await targetOf(t, { ...(body as object), project_id: projectId } as never));
            rows.push(await resource.create(t, body, projectId, viewerOf(request)).catch(raced));
          }
          return await resource.views(t, rows, request);
        });
        return { body: single ? { [singular]: views[0] } : { [plural]: views } };
      },
    }),
    route({
      name: `${plural}.delete`,
      method: "DELETE",
      path: `${path}/:id`,
      policy: rules.delete,
      success: 204,
      async handler(request) {
        await store.tx(async (t) => {
          const { row, target } = await find(t, request);
          request.authorize(`delete_${singular}`, target);
          await resource.remove(t, row, viewerOf(request)).catch((error: unknown) => {
            throw isForeignKeyError(error) ? resource.inUse(row) : error;
          });
        });
        return {};
      },
    }),
  ];
  if (!updateBody) return routes;
  const update = route({
    name: `${plural}.update`,
    method: "PUT",
    path: `${path}/:id`,
    policy: rules.update,
    body: Type.Object({ [singular]: updateBody }, { additionalProperties: false }),
    async handler(request) {
      const body = (request.body as Readonly<Record<string, unknown>>)[singular] as Static<Update> & object;
      return await store.tx(async (t) => {
        const { row, target } = await find(t, request);
        askFor(request, "update", body, target);
        const updated = (await resource.update?.(t, row, body, viewerOf(request)).catch(raced)) ?? row;
        return { body: { [singular]: await one(t, updated, request) } };
      });
    },
  });
  return [...routes, update];
}

/** Who is to own what is created: whom the body names, else the caller's project. */
function ownerOf(body: object, request: ApiRequest): string {
  const { project_id, tenant_id } = body as { project_id?: string; tenant_id?: string };
  if (project_id !== undefined && tenant_id !== undefined && project_id !== tenant_id) {
    throw invalidInput("'project_id' and 'tenant_id' do not match.");
  }
  const owner = project_id ?? tenant_id ?? request.context.projectId;
  if (owner) return owner;
  throw invalidInput("the token has no project, so the request must name one (project_id).");
}

/** `fixed_ips:subnet_id` is mentioned when an entry of the list `fixed_ips` has a `subnet_id`. */
function mentions(body: object, name: string): boolean {
  if (Object.hasOwn(body, name)) return true;
  const [attribute = "", part] = name.split(/:(?=[^:]*$)/);
  const value: unknown = (body as Record<string, unknown>)[attribute];
  if (part === undefined || !Array.isArray(value)) return false;
  return value.some((entry) => typeof entry === "object" && entry !== null && Object.hasOwn(entry, part));
}

function raced(error: unknown): never {
  if (!isForeignKeyError(error)) throw error;
  throw new CloudError(
    "conflict",
    "network.changed_meanwhile",
    "Something that the request names was deleted meanwhile.",
  );
}
