import { type Logger as Pino, pino } from "pino";

export type LogLevel = "debug" | "info" | "warn" | "error";

export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  /** Same name and level, with fields added to every line. */
  with(fields: object): Logger;
}

/** Every logger of one process by name (`operations.runner`), each with a level that can change at run time. */
export class Loggers {
  readonly #root: Pino;
  readonly #base: object;
  readonly #defaultLevel: LogLevel;
  readonly #byName = new Map<string, Pino>();
  readonly #overrides: { prefix: string; level: LogLevel }[] = [];

  /** `of`: writes where those do. */
  constructor(
    options: { level?: LogLevel; base?: object; destination?: { write(line: string): void }; of?: Loggers } = {},
  ) {
    this.#defaultLevel = options.level ?? "info";
    this.#base = options.base ?? {};
    const settings = { base: null, level: "debug", redact: { paths: SECRET_PATHS, censor: "[secret]" } };
    this.#root = options.of
      ? options.of.#root
      : pino(settings, options.destination ?? pino.destination({ fd: 2, sync: true }));
  }

  /** Loggers for a part that counts as a process of its own: they write to the same place, with levels of their own. */
  ofPart(base: object): Loggers {
    return new Loggers({ level: this.#defaultLevel, base, of: this });
  }

  get(name: string): Logger {
    let logger = this.#byName.get(name);
    if (!logger) {
      logger = this.#root.child({ ...this.#base, logger: name });
      logger.level = this.#levelFor(name);
      this.#byName.set(name, logger);
    }
    return wrap(logger);
  }

  /** Sets the level of every logger whose name is `prefix` or starts with it; empty means all. */
  setLevel(prefix: string, level: LogLevel): void {
    const kept = this.#overrides.filter((override) => !covers(prefix, override.prefix));
    this.#overrides.splice(0, this.#overrides.length, ...kept, { prefix, level });
    for (const [name, logger] of this.#byName) if (covers(prefix, name)) logger.level = level;
  }

  /** Levels in force, by logger name. */
  levels(prefix = ""): Record<string, LogLevel> {
    const result: Record<string, LogLevel> = {};
    for (const [name, logger] of this.#byName) if (covers(prefix, name)) result[name] = logger.level as LogLevel;
    return result;
  }

  #levelFor(name: string): LogLevel {
    return this.#overrides.findLast((o) => covers(o.prefix, name))?.level ?? this.#defaultLevel;
  }
}

/** The last line of defence; code must not log these in the first place. */
const SECRET_PATHS = [
  "password",
  "token",
  "secret",
  "credential",
  "adminPass",
  "*.password",
  "*.token",
  "*.secret",
  "*.credential",
];

function covers(prefix: string, name: string): boolean {
  return name.startsWith(prefix);
}

function wrap(inner: Pino): Logger {
  return {
    debug: (fields, message) => inner.debug(fields, message),
    info: (fields, message) => inner.info(fields, message),
    warn: (fields, message) => inner.warn(fields, message),
    error: (fields, message) => inner.error(fields, message),
    with(fields) {
      const child = inner.child(fields);
      return wrap(child);
    },
  };
}

/** For tests: says nothing. */
export const silentLogger: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  with: () => silentLogger,
};

/** An error with its chain of causes, in a form fit for a log line. */
export function errorFields(error: unknown): { err: string; causes?: string[]; stack?: string } {
  if (!(error instanceof Error)) return { err: String(error) };
  const causes: string[] = [];
  for (let cause = error.cause; cause instanceof Error && causes.length < 8; cause = cause.cause)
    causes.push(cause.message);
  const told = [textOf(error, "reason"), textOf(error, "internal")].filter((text) => text !== undefined);
  const forOperators = told.map((text) => ` (${text})`).join("");
  return {
    err: `${error.name}: ${error.message}${forOperators}`,
    ...(causes.length > 0 ? { causes } : {}),
    ...(error.stack ? { stack: error.stack } : {}),
  };
}

function textOf(error: object, key: "reason" | "internal"): string | undefined {
  const text: unknown = (error as Partial<Record<typeof key, unknown>>)[key];
  return typeof text === "string" ? text : undefined;
}
