import type { Selectable } from "kysely";
import type { Migration } from "../../../kernel/store/migrate.ts";
import type { ImageStatus, ImageVisibility } from "../public.ts";

export interface ImageTable {
  id: string;
  /** Project. */
  owner: string;
  name: string | null;
  status: ImageStatus;
  visibility: ImageVisibility;
  protected: number;
  hidden: number;
  min_disk_gib: number;
  min_ram_mib: number;
  disk_format: string | null;
  container_format: string | null;
  size_bytes: number | null;
  virtual_size_bytes: number | null;
  md5: string | null;
  sha256: string | null;
  sha512: string | null;
  /** Of the upload under way; null otherwise. */
  upload_id: string | null;
  /** Epoch milliseconds of the upload's last sign of life. */
  upload_seen_at: number | null;
  created_at: number;
  updated_at: number;
}
export type ImageRow = Selectable<ImageTable>;

export type MemberStatus = "pending" | "accepted" | "rejected";

export interface MemberTable {
  image_id: string;
  /** Project. */
  member_id: string;
  status: MemberStatus;
  created_at: number;
  updated_at: number;
}
export type MemberRow = Selectable<MemberTable>;

export interface ImageTables {
  images: ImageTable;
  image_properties: { image_id: string; name: string; value: string };
  image_tags: { image_id: string; tag: string };
  image_members: MemberTable;
}

export const imageMigrations: readonly Migration[] = [
  {
    name: "image-0001-images",
    statements: [
      `CREATE TABLE images (
        id text PRIMARY KEY, owner text NOT NULL, name text, status text NOT NULL, visibility text NOT NULL,
        protected bigint NOT NULL, hidden bigint NOT NULL, min_disk_gib bigint NOT NULL, min_ram_mib bigint NOT NULL,
        disk_format text, container_format text, size_bytes bigint, virtual_size_bytes bigint, md5 text, sha256 text,
        sha512 text, upload_id text, upload_seen_at bigint, created_at bigint NOT NULL, updated_at bigint NOT NULL)`,
      "CREATE INDEX images_by_age ON images (created_at, id)",
      "CREATE INDEX images_of_owner ON images (owner)",
      "CREATE INDEX images_by_sha256 ON images (sha256)",
      `CREATE TABLE image_properties (
        image_id text NOT NULL REFERENCES images (id) ON DELETE CASCADE, name text NOT NULL, value text NOT NULL,
        PRIMARY KEY (image_id, name))`,
      `CREATE TABLE image_tags (
        image_id text NOT NULL REFERENCES images (id) ON DELETE CASCADE, tag text NOT NULL, PRIMARY KEY (image_id, tag))`,
      `CREATE TABLE image_members (
        image_id text NOT NULL REFERENCES images (id) ON DELETE CASCADE, member_id text NOT NULL, status text NOT NULL,
        created_at bigint NOT NULL, updated_at bigint NOT NULL, PRIMARY KEY (image_id, member_id))`,
      "CREATE INDEX images_of_member ON image_members (member_id)",
    ],
  },
];
