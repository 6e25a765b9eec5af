import { CloudError } from "../errors/cloud-error.ts";
import type { Expression, Literal, Template, TemplatePart } from "./expression.ts";

/** Deeper nesting than any rule a person writes; keeps parsing and evaluation off the end of the stack. */
const MAX_DEPTH = 100;

/**
 * Parses one rule of the oslo.policy language. `and` binds stronger than `or`; an empty rule always allows, as upstream.
 * Throws CloudError("invalid", "policy.syntax") with `fields.column` (1-based).
 */
export function parseRule(text: string): Expression {
  const reader = new TokenReader(tokenize(text), text.length);
  if (reader.atEnd) return { kind: "always" };
  const expression = parseOr(reader, 0);
  const extra = reader.peek();
  if (extra) throw syntaxError(`unexpected '${extra.text}'`, extra.at);
  return expression;
}

type TokenKind = "open" | "close" | "and" | "or" | "not" | "check";

interface Token {
  readonly kind: TokenKind;
  readonly text: string;
  readonly at: number;
}

class TokenReader {
  #next = 0;
  readonly #tokens: readonly Token[];
  readonly #length: number;

  constructor(tokens: readonly Token[], length: number) {
    this.#tokens = tokens;
    this.#length = length;
  }

  get atEnd(): boolean {
    return this.#next >= this.#tokens.length;
  }

  peek(): Token | undefined {
    return this.#tokens[this.#next];
  }

  take(wanted: string): Token {
    const token = this.peek();
    if (!token) throw syntaxError(`${wanted} expected at the end`, this.#length);
    this.#next += 1;
    return token;
  }

  takeIf(kind: TokenKind): boolean {
    if (this.peek()?.kind !== kind) return false;
    this.#next += 1;
    return true;
  }
}

function parseOr(reader: TokenReader, depth: number): Expression {
  return parseList(reader, "or", () => parseAnd(reader, depth));
}

function parseAnd(reader: TokenReader, depth: number): Expression {
  return parseList(reader, "and", () => parseNot(reader, depth));
}

function parseList(reader: TokenReader, kind: "and" | "or", parseOperand: () => Expression): Expression {
  const first = parseOperand();
  const operands = [first];
  while (reader.takeIf(kind)) operands.push(parseOperand());
  return operands.length === 1 ? first : { kind, of: operands };
}

function parseNot(reader: TokenReader, depth: number): Expression {
  const token = reader.take("a check");
  if (depth > MAX_DEPTH) throw syntaxError("nested too deeply", token.at);
  switch (token.kind) {
    case "not":
      return { kind: "not", of: parseNot(reader, depth + 1) };
    case "open": {
      const inner = parseOr(reader, depth + 1);
      const close = reader.take("')'");
      if (close.kind !== "close") throw syntaxError(`')' expected before '${close.text}'`, close.at);
      return inner;
    }
    case "check":
      return parseCheck(token);
    default:
      throw syntaxError(`a check expected before '${token.text}'`, token.at);
  }
}

const KEYWORDS: Readonly<Record<string, TokenKind>> = { and: "and", or: "or", not: "not" };

function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < text.length) {
    const char = text.charAt(at);
    if (/\s/.test(char)) {
      at += 1;
    } else if (char === "(" || char === ")") {
      tokens.push({ kind: char === "(" ? "open" : "close", text: char, at });
      at += 1;
    } else {
      const end = endOfWord(text, at);
      const word = text.slice(at, end);
      const lower = word.toLowerCase();
      tokens.push({ kind: Object.hasOwn(KEYWORDS, lower) ? (KEYWORDS[lower] ?? "check") : "check", text: word, at });
      at = end;
    }
  }
  return tokens;
}

/** A word ends at white space or a parenthesis that belongs neither to a leading quoted literal nor to `%(…)s`. */
function endOfWord(text: string, start: number): number {
  let at = start;
  const quote = text.charAt(start);
  if (quote === "'" || quote === '"') {
    const end = text.indexOf(quote, start + 1);
    if (end < 0) throw syntaxError("unclosed quote", start);
    at = end + 1;
  }
  while (at < text.length && !/[\s)]/.test(text.charAt(at))) {
    if (text.charAt(at) === "(") throw syntaxError("unexpected '('", at);
    if (text.startsWith("%%", at)) at += 2;
    else if (text.startsWith("%(", at)) {
      const end = text.indexOf(")", at);
      if (end < 0) throw syntaxError("unclosed '%('", at);
      at = end + 1;
    } else at += 1;
  }
  return at;
}

function parseCheck({ text, at }: Token): Expression {
  if (text === "@") return { kind: "always" };
  if (text === "!") return { kind: "never" };
  const quoted = /^(?:'([^']*)'|"([^"]*)")/.exec(text);
  const colon = quoted ? quoted[0].length : text.indexOf(":");
  if (colon <= 0 || text.charAt(colon) !== ":") throw syntaxError(`'${text}' is not of the form kind:match`, at);
  const subject = text.slice(0, colon);
  const matchText = text.slice(colon + 1);
  if (matchText === "") throw syntaxError(`'${text}' has nothing after the colon`, at);
  if (quoted) return { kind: "literal", value: quoted[1] ?? quoted[2] ?? "", match: parseTemplate(matchText, at) };
  switch (subject) {
    case "rule":
      return { kind: "rule", name: matchText };
    case "role":
      return { kind: "role", match: parseTemplate(matchText, at) };
    case "http":
    case "https":
      throw syntaxError("remote checks (http:, https:) are not supported", at);
  }
  const match = parseTemplate(matchText, at);
  const literal = parseLiteral(subject);
  if (literal !== undefined) return { kind: "literal", value: literal, match };
  if (!/^[A-Za-z_][\w.-]*$/.test(subject)) throw syntaxError(`'${subject}' is not an attribute of a token`, at);
  return { kind: "attribute", path: subject, match };
}

function parseLiteral(text: string): Literal | undefined {
  if (text === "None") return null;
  if (text === "True") return true;
  if (text === "False") return false;
  return /^-?\d{1,15}$/.test(text) ? Number(text) : undefined;
}

function parseTemplate(text: string, at: number): Template {
  const parts: TemplatePart[] = [];
  let plain = "";
  let rest = text;
  while (rest !== "") {
    const attribute = /^%\(([^()%\s]+)\)s/.exec(rest);
    if (attribute?.[1]) {
      if (plain !== "") parts.push(plain);
      plain = "";
      parts.push({ target: attribute[1] });
      rest = rest.slice(attribute[0].length);
    } else if (rest.startsWith("%%")) {
      plain += "%";
      rest = rest.slice(2);
    } else if (rest.startsWith("%")) {
      throw syntaxError(`'${text}' holds a '%' that is not of the form %(name)s`, at);
    } else {
      plain += rest.charAt(0);
      rest = rest.slice(1);
    }
  }
  if (plain !== "") parts.push(plain);
  return parts;
}

function syntaxError(problem: string, at: number): CloudError {
  return new CloudError("invalid", "policy.syntax", `${problem} (column ${at + 1})`, { fields: { column: at + 1 } });
}
