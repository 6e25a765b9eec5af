/** Text of a source file with parts blanked out, so that a pattern finds code and nothing else. Lines and columns stay. */
export interface Masked {
  /** Without comments and without the contents of strings, templates and regular expressions. */
  readonly code: string;
  /** Without comments. */
  readonly uncommented: string;
  /** The comments alone. */
  readonly comments: string;
}

type Place = "code" | "comment" | "text";

/** After these a slash begins a regular expression; after anything else it divides. */
const BEFORE_REGEX = /(^|[(,=:[!&|?{};+\-*%~^<>]|\b(?:return|typeof|case|in|of|throw|await))\s*$/;

/** Reads TypeScript only as far as needed to tell code, comments and literals apart. */
export function mask(text: string): Masked {
  const places = new Array<Place>(text.length).fill("code");
  /** Depth of braces inside each template that is open, innermost last. */
  const templates: number[] = [];
  let at = 0;
  const take = (end: number, place: Place) => {
    places.fill(place, at, end);
    at = end;
  };
  const takeTemplate = () => {
    const end = endOfTemplate(text, at);
    if (text[end - 1] === "{") templates.push(0);
    // The opening `${` belongs to the text, what stands inside it to the code.
    take(end, "text");
  };
  while (at < text.length) {
    const char = text[at];
    if (text.startsWith("//", at)) take(endOf(text, "\n", at), "comment");
    else if (text.startsWith("/*", at)) take(endOf(text, "*/", at) + 2, "comment");
    else if (char === '"' || char === "'") {
      at += 1;
      take(endOfQuoted(text, at, char), "text");
      at += 1;
    } else if (char === "`") {
      at += 1;
      takeTemplate();
    } else if (char === "/" && BEFORE_REGEX.test(codeBefore(text, places, at))) {
      at += 1;
      take(endOfRegex(text, at), "text");
      at += 1;
    } else {
      const depth = templates.at(-1);
      if (depth !== undefined && char === "{") templates[templates.length - 1] = depth + 1;
      if (depth !== undefined && char === "}") {
        if (depth > 0) templates[templates.length - 1] = depth - 1;
        else {
          templates.pop();
          at += 1;
          takeTemplate();
          continue;
        }
      }
      at += 1;
    }
  }
  const only = (wanted: readonly Place[]) => {
    let kept = "";
    for (let i = 0; i < text.length; i += 1) {
      const char = text[i] ?? "";
      kept += char === "\n" || wanted.includes(places[i] ?? "code") ? char : " ";
    }
    return kept;
  };
  return { code: only(["code"]), uncommented: only(["code", "text"]), comments: only(["comment"]) };
}

/** The last few characters of code in front of `at`. */
function codeBefore(text: string, places: readonly Place[], at: number): string {
  let before = "";
  for (let i = at - 1; i >= 0 && before.length < 24; i -= 1) {
    if (places[i] === "comment") continue;
    before = (places[i] === "code" ? text[i] : "x") + before;
  }
  return before;
}

function endOf(text: string, stop: string, from: number): number {
  const found = text.indexOf(stop, from);
  return found < 0 ? text.length : found;
}

function endOfQuoted(text: string, from: number, quote: string): number {
  let at = from;
  while (at < text.length && text[at] !== quote && text[at] !== "\n") at += text[at] === "\\" ? 2 : 1;
  return at;
}

/** Behind the closing backtick, or behind the `${` that comes first. */
function endOfTemplate(text: string, from: number): number {
  let at = from;
  while (at < text.length && text[at] !== "`" && !text.startsWith("${", at)) at += text[at] === "\\" ? 2 : 1;
  return Math.min(text.length, at + (text[at] === "$" ? 2 : 1));
}

function endOfRegex(text: string, from: number): number {
  let at = from;
  let inClass = false;
  while (at < text.length && text[at] !== "\n" && (inClass || text[at] !== "/")) {
    if (text[at] === "[") inClass = true;
    if (text[at] === "]") inClass = false;
    at += text[at] === "\\" ? 2 : 1;
  }
  return at;
}
