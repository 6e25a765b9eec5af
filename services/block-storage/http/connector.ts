import { type Static, Type } from "typebox";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import { invalidVolume } from "../domain/can-volume.ts";
import type { AttachmentRow } from "../store/tables.ts";
import type { FaceDependencies } from "./dependencies.ts";

/** What a client says of the machine that will open the volume. Most of it concerns protocols that are not spoken here. */
export const Connector = Type.Object({}, { additionalProperties: true });
export type Connector = Static<typeof Connector>;

/** Starts serving the volume to the attachment's client, in the caller's transaction. Returns the operation's id. */
export async function startConnecting(
  t: Tx,
  deps: FaceDependencies,
  request: Pick<ApiRequest, "context" | "requestId">,
  wanted: { readonly attachment: AttachmentRow; readonly connector: Connector; readonly releases: boolean },
): Promise<string> {
  const { attachment, releases } = wanted;
  const connector = wanted.connector as Readonly<Record<string, unknown>>;
  const mode = connector.mode === "rw" || connector.mode === "ro" ? connector.mode : attachment.attach_mode;
  return await deps.kernel.operations.start(t, deps.operations.connectVolume, {
    input: {
      volumeId: attachment.volume_id,
      attachmentId: attachment.id,
      host: textOf(connector, "host"),
      mountpoint: textOf(connector, "mountpoint"),
      mode,
      connector,
      releases,
    },
    resourceId: attachment.volume_id,
    projectId: attachment.project_id,
    userId: request.context.userId,
    requestId: request.requestId,
  });
}

/** A text of a connector; null where there is none. Throws 400 for what is too long for one. */
export function textOf(connector: Readonly<Record<string, unknown>>, name: string): string | null {
  const value = connector[name];
  if (value === undefined || value === null || value === "") return null;
  if (typeof value !== "string" || value.length > 255)
    throw invalidVolume(`Invalid input received: Connector section incorrect: ${name}.`);
  return value;
}
