import { Type } from "typebox";
import { isoSeconds } from "../../../kernel/clock/clock.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import { imageNotFound } from "../domain/faults.ts";
import type { ImageContext } from "../settings.ts";
import { type FullImage, findVisibleImage } from "../store/images.ts";
import { addMember, membersOf, removeMember, setMember } from "../store/members.ts";
import type { MemberRow } from "../store/tables.ts";
import { findFor, targetOf, viewerOf } from "./find.ts";

const MEMBER_SCHEMA = "/v2/schemas/member";

/** The projects that an image is shared with. */
export function memberRoutes(context: ImageContext): Route[] {
  const { store, clock } = context;
  return [
    route({
      name: "image_members.list",
      method: "GET",
      path: "/images/:id/members",
      policy: "get_members",
      async handler(request) {
        const image = await findShared(store.read, request, "get_members");
        const members = visibleTo(request, image, await membersOf(store.read, image.row.id));
        return { body: { members: members.map(memberView), schema: "/v2/schemas/members" } };
      },
    }),
    route({
      name: "image_members.show",
      method: "GET",
      path: "/images/:id/members/:member",
      policy: "get_member",
      async handler(request) {
        const image = await findShared(store.read, request, "get_member");
        const members = visibleTo(request, image, await membersOf(store.read, image.row.id));
        const member = members.find((each) => each.member_id === request.param("member"));
        if (!member) throw memberNotFound(request);
        return { body: memberView(member) };
      },
    }),
    route({
      name: "image_members.add",
      method: "POST",
      path: "/images/:id/members",
      policy: "add_member",
      body: Type.Object({ member: Type.String({ minLength: 1, maxLength: 255, format: "printable" }) }),
      async handler(request) {
        const now = clock.now();
        const member_id = request.body.member;
        const added = await store.tx(async (t) => {
          const { row } = await findShared(t, request, "add_member");
          return await addMember(t, {
            image_id: row.id,
            member_id,
            status: "pending",
            created_at: now,
            updated_at: now,
          });
        });
        if (added) return { body: memberView(added) };
        throw new CloudError("conflict", "image.member_exists", `${member_id} is a member of the image already.`);
      },
    }),
    route({
      name: "image_members.update",
      method: "PUT",
      path: "/images/:id/members/:member",
      policy: "modify_member",
      body: Type.Object({ status: Type.Enum(["pending", "accepted", "rejected"]) }),
      async handler(request) {
        const member = request.param("member");
        const changed = await store.tx(async (t) => {
          const image = await findVisible(t, request);
          request.authorize("modify_member", targetOf(image, member));
          return await setMember(t, image.row.id, member, { status: request.body.status, updated_at: clock.now() });
        });
        if (!changed) throw memberNotFound(request);
        return { body: memberView(changed) };
      },
    }),
    route({
      name: "image_members.remove",
      method: "DELETE",
      path: "/images/:id/members/:member",
      policy: "delete_member",
      success: 204,
      async handler(request) {
        const removed = await store.tx(async (t) => {
          const image = await findShared(t, request, "delete_member");
          return await removeMember(t, image.row.id, request.param("member"));
        });
        if (!removed) throw memberNotFound(request);
        return {};
      },
    }),
  ];
}

/** Only images with the visibility `shared` have members. */
async function findShared(q: Queries, request: ApiRequest, rule: string): Promise<FullImage> {
  const image = await findFor(q, request, rule);
  if (image.row.visibility === "shared") return image;
  throw new CloudError("forbidden", "image.not_shared", "Only shared images have members.");
}

async function findVisible(q: Queries, request: ApiRequest): Promise<FullImage> {
  const id = request.param("id");
  const image = await findVisibleImage(q, id, viewerOf(request));
  if (image) return image;
  throw imageNotFound(id);
}

/** The owner sees all members, a member only itself. */
function visibleTo(request: ApiRequest, image: FullImage, members: readonly MemberRow[]): readonly MemberRow[] {
  const { projectId, isAdmin } = request.context;
  if (isAdmin || image.row.owner === projectId) return members;
  return members.filter((member) => member.member_id === projectId);
}

function memberView(member: MemberRow) {
  return {
    image_id: member.image_id,
    member_id: member.member_id,
    status: member.status,
    created_at: isoSeconds(member.created_at),
    updated_at: isoSeconds(member.updated_at),
    schema: MEMBER_SCHEMA,
  };
}

function memberNotFound(request: ApiRequest): CloudError {
  const member = request.param("member");
  return new CloudError("notFound", "image.member_not_found", `${member} not found in the member list of the image.`);
}
