import { CloudError } from "../../../kernel/errors/cloud-error.ts";

export const imageNotFound = (id: string): CloudError =>
  new CloudError("notFound", "image.not_found", `Failed to find image ${id}`);

export const badImage = (message: string): CloudError => new CloudError("invalid", "image.invalid", message);

export const readOnly = (attribute: string): CloudError =>
  new CloudError("forbidden", "image.read_only", `Attribute '${attribute}' is read-only.`);

export const imageTooLarge = (limit: number): CloudError =>
  new CloudError("invalid", "image.too_large", `The image is larger than the limit of ${limit} bytes.`, {
    httpStatus: 413,
  });

export const wrongStatus = (id: string, status: string, doing: string): CloudError =>
  new CloudError("conflict", "image.wrong_status", `Image ${id} is ${status}; it cannot be ${doing}.`);
