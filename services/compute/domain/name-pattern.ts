/**
 * The SQL LIKE pattern (escape character `\`) of a list filter. OpenStack takes a regular expression there; what clients
 * use of it is understood: anchors, `.`, `.*`, `.+` and escaped characters. Anything else stands for itself, so that no
 * expression of a client can keep the server busy.
 */
export function likeOf(expression: string): string {
  const anchoredStart = expression.startsWith("^");
  const anchoredEnd = /(?:^|[^\\])(?:\\\\)*\$$/.test(expression);
  const inner = expression.slice(anchoredStart ? 1 : 0, anchoredEnd ? -1 : undefined).toLowerCase();
  let pattern = "";
  for (let i = 0; i < inner.length; i += 1) {
    const char = inner.charAt(i);
    const next = inner.charAt(i + 1);
    if (char === "\\" && next !== "") {
      pattern += literal(next);
      i += 1;
    } else if (char !== ".") pattern += literal(char);
    else if (next === "*") {
      pattern += "%";
      i += 1;
    } else if (next === "+") {
      pattern += "_%";
      i += 1;
    } else pattern += "_";
  }
  return `${anchoredStart ? "" : "%"}${pattern}${anchoredEnd ? "" : "%"}`;
}

function literal(char: string): string {
  return char === "%" || char === "_" || char === "\\" ? `\\${char}` : char;
}

/** Whether `text` fits a pattern of `likeOf`; linear in practice, whatever the pattern. */
export function isLike(pattern: string, text: string): boolean {
  const parts = tokens(pattern);
  const subject = text.toLowerCase();
  let [at, part] = [0, 0];
  /** Where to go on when what follows the last `%` does not fit: one character further. */
  let retry: { at: number; part: number } | undefined;
  while (at < subject.length) {
    const token = parts[part];
    if (token === ANY) {
      part += 1;
      retry = { at, part };
    } else if (token !== undefined && (token === ONE || token === subject.charAt(at))) {
      at += 1;
      part += 1;
    } else if (retry) {
      retry.at += 1;
      ({ at, part } = retry);
    } else return false;
  }
  return parts.slice(part).every((token) => token === ANY);
}

const ANY = Symbol("%");
const ONE = Symbol("_");

function tokens(pattern: string): (string | symbol)[] {
  const result: (string | symbol)[] = [];
  for (let i = 0; i < pattern.length; i += 1) {
    const char = pattern.charAt(i);
    if (char === "\\") {
      i += 1;
      result.push(pattern.charAt(i));
    } else result.push(char === "%" ? ANY : char === "_" ? ONE : char);
  }
  return result;
}
