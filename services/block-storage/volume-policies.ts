/** Rules about volumes and what belongs to them, by who passes them. A name stands here once a route asks for it. */

export const VOLUME_ADMIN_RULES: readonly string[] = [
  "volume_extension:type_create",
  "volume_extension:type_update",
  "volume_extension:type_delete",
  "volume_extension:access_types_qos_specs_id",
  "volume_extension:types_extra_specs:create",
  "volume_extension:types_extra_specs:update",
  "volume_extension:types_extra_specs:delete",
  "volume_extension:types_extra_specs:read_sensitive",
  "volume_extension:volume_type_access:get_all_for_type",
  "volume_extension:volume_type_access:addProjectAccess",
  "volume_extension:volume_type_access:removeProjectAccess",
  "volume_extension:quotas:update",
  "volume_extension:quotas:delete",
];

export const VOLUME_MEMBER_RULES: readonly string[] = [];

export const VOLUME_READER_RULES: readonly string[] = [
  "volume_extension:type_get",
  "volume_extension:type_get_all",
  "volume_extension:access_types_extra_specs",
  "volume_extension:types_extra_specs:index",
  "volume_extension:types_extra_specs:show",
  "volume_extension:volume_type_access",
  "volume_extension:quotas:show",
  "limits_extension:used_limits",
];
