import type { RuleDefault } from "../../kernel/policy/policy.ts";

/** Glance's defaults. */

const OWNING_MEMBER = "role:admin or (role:member and project_id:%(project_id)s)";
const OWNING_READER = "role:admin or (role:reader and project_id:%(project_id)s)";
const FOR_ALL = "'community':%(visibility)s or 'public':%(visibility)s or 'shared':%(visibility)s";
const MEMBER_READER = "role:admin or (role:reader and (project_id:%(project_id)s or project_id:%(member_id)s))";

const rule = (name: string, text: string, description: string): RuleDefault => ({
  name,
  rule: text,
  description,
  scopeTypes: ["project"],
});

export const imagePolicies: readonly RuleDefault[] = [
  { name: "context_is_admin", rule: "role:admin", description: "Who is an administrator" },
  rule(
    "add_image",
    "role:admin or (role:member and project_id:%(project_id)s and project_id:%(owner)s)",
    "Register an image",
  ),
  rule("delete_image", OWNING_MEMBER, "Delete an image"),
  rule(
    "get_image",
    `role:admin or (role:reader and (project_id:%(project_id)s or project_id:%(member_id)s or ${FOR_ALL}))`,
    "Show an image",
  ),
  rule("get_images", OWNING_READER, "List images"),
  rule("modify_image", OWNING_MEMBER, "Change an image"),
  rule("publicize_image", "role:admin", "Make an image public"),
  rule("communitize_image", OWNING_MEMBER, "Make an image a community image"),
  rule(
    "download_image",
    `role:admin or (role:member and (project_id:%(project_id)s or project_id:%(member_id)s or ${FOR_ALL}))`,
    "Download an image's data",
  ),
  rule("upload_image", OWNING_MEMBER, "Upload an image's data"),
  rule("deactivate", OWNING_MEMBER, "Deactivate an image"),
  rule("reactivate", OWNING_MEMBER, "Reactivate an image"),
  rule("get_member", MEMBER_READER, "Show a member of a shared image"),
  rule("get_members", MEMBER_READER, "List the members of a shared image"),
  rule("add_member", OWNING_MEMBER, "Share an image with a project"),
  rule("delete_member", OWNING_MEMBER, "Stop sharing an image with a project"),
  rule("modify_member", "role:admin or (role:member and project_id:%(member_id)s)", "Accept or reject a shared image"),
];
