import { isoSeconds } from "../../../kernel/clock/clock.ts";
import type { FullImage } from "../store/images.ts";

/** The image as Glance shows it: properties stand beside its attributes. */
export function imageView({ row, properties, tags }: FullImage): Record<string, unknown> & { id: string } {
  return {
    ...properties,
    id: row.id,
    name: row.name,
    status: row.status,
    visibility: row.visibility,
    protected: row.protected === 1,
    os_hidden: row.hidden === 1,
    owner: row.owner,
    min_disk: row.min_disk_gib,
    min_ram: row.min_ram_mib,
    disk_format: row.disk_format,
    container_format: row.container_format,
    size: row.size_bytes,
    virtual_size: row.virtual_size_bytes,
    checksum: row.md5,
    os_hash_algo: row.sha512 === null ? null : "sha512",
    os_hash_value: row.sha512,
    tags,
    created_at: isoSeconds(row.created_at),
    updated_at: isoSeconds(row.updated_at),
    self: `/v2/images/${row.id}`,
    file: `/v2/images/${row.id}/file`,
    schema: "/v2/schemas/image",
  };
}
