/** Where a volume lives: `node@backend#pool`, or for clustered ones also `cluster@backend#pool`. */
export interface Place {
  readonly node: string;
  readonly backend: string | null;
  readonly pool: string | null;
}

export function parsePlace(text: string): Place {
  const [place = "", pool = null] = splitOnce(text, "#");
  const [node = "", backend = null] = splitOnce(place, "@");
  return { node, backend, pool };
}

/** `node@backend` of `node@backend#pool`: the name of a service record, or of a cluster. */
export function withoutPool(text: string): string {
  return splitOnce(text, "#")[0] ?? text;
}

export function placeText(backend: string, pool: string): string {
  return `${backend}#${pool}`;
}

/**
 * OpenStack's matching of hosts and clusters: a bare name stands for all its backends and pools, `name@backend` for all
 * pools of that backend, and with a pool only the same text matches. Never a substring.
 */
export function placeMatches(given: string, value: string): boolean {
  if (given === value) return true;
  if (given.includes("#")) return false;
  return value.startsWith(`${given}#`) || (!given.includes("@") && value.startsWith(`${given}@`));
}

function splitOnce(text: string, separator: string): string[] {
  const at = text.indexOf(separator);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}
