/** What the templates of endpoint URLs may name. */
export interface CatalogSubject {
  readonly userId: string;
  readonly projectId: string | null;
  readonly domainId: string | null;
}

const PLACEHOLDER = /[%$]\(([a-z_]+)\)s/g;
const KNOWN = new Set(["project_id", "tenant_id", "user_id", "domain_id"]);

/** Replaces `%(project_id)s`, `$(tenant_id)s` and the like; null when the token lacks what the URL needs. */
export function fillUrl(template: string, subject: CatalogSubject): string | null {
  let complete = true;
  const url = template.replace(PLACEHOLDER, (_, name: string) => {
    const value = placeholderValue(name, subject);
    if (value === null) complete = false;
    return value ?? "";
  });
  return complete ? url : null;
}

/** True when every placeholder is well-formed and known. */
export function isValidTemplate(template: string): boolean {
  const names = [...template.matchAll(PLACEHOLDER)].map((match) => match[1] ?? "");
  const rest = template.replace(PLACEHOLDER, "");
  return names.every((name) => KNOWN.has(name)) && !/[%$]\(/.test(rest) && !/%(?![0-9A-Fa-f]{2})/.test(rest);
}

function placeholderValue(name: string, subject: CatalogSubject): string | null {
  switch (name) {
    case "project_id":
    case "tenant_id":
      return subject.projectId;
    case "user_id":
      return subject.userId;
    case "domain_id":
      return subject.domainId;
    default:
      return null;
  }
}
