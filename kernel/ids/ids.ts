import { randomBytes, randomUUID } from "node:crypto";

/** A string id that cannot be mixed up with another resource's id. */
export type Id<Brand extends string> = string & { readonly __brand: Brand };

export type ServerId = Id<"Server">;
export type OperationId = Id<"Operation">;
export type HostId = Id<"Host">;
export type ImageId = Id<"Image">;
export type NetworkId = Id<"Network">;
export type SubnetId = Id<"Subnet">;
export type PortId = Id<"Port">;
export type ProjectId = Id<"Project">;
export type UserId = Id<"User">;
export type FlavorId = Id<"Flavor">;

/** Where ids and secrets come from. Injected, so that tests can repeat a run. */
export interface IdSource {
  /** Canonical lower-case UUID v4. */
  uuid(): string;
  /** 32 hex digits: the form Identity uses for projects, users and roles. */
  hex(): string;
  /** URL-safe secret with at least `bytes` bytes of entropy. */
  secret(bytes?: number): string;
}

export const systemIds: IdSource = {
  uuid: () => randomUUID(),
  hex: () => randomUUID().replaceAll("-", ""),
  secret: (bytes = 24) => randomBytes(bytes).toString("base64url"),
};

/** Repeatable ids for tests: 00000000-0000-4000-8000-000000000001, … */
export function sequentialIds(prefix = 0): IdSource {
  let next = 0;
  const uuid = () => {
    next += 1;
    const tail = next.toString(16).padStart(12, "0");
    return `${prefix.toString(16).padStart(8, "0")}-0000-4000-8000-${tail}`;
  };
  return { uuid, hex: () => uuid().replaceAll("-", ""), secret: () => `secret-${uuid()}` };
}

const UUID = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i;

/** True for anything OpenStack takes as a UUID: with or without dashes, any case. */
export function isUuidLike(text: string): boolean {
  return UUID.test(text);
}

/** Gives an unchecked string its brand. Only for values that come from our own store or that were just validated. */
export function asId<I extends Id<string>>(text: string): I {
  return text as I;
}
