import { closeSync, fstatSync, openSync, renameSync, writeSync } from "node:fs";

/** Past this a log begins anew; the one before it is kept beside it, with `.1` after its name. */
const LARGE_BYTES = 32 * 1024 * 1024;

/** A log that only its owner reads and that never takes more than twice `limitBytes`. Each write is in the file when it returns. */
export class LogFile {
  readonly #path: string;
  readonly #limitBytes: number;
  #file: number;
  #bytes: number;

  constructor(path: string, limitBytes = LARGE_BYTES) {
    this.#path = path;
    this.#limitBytes = limitBytes;
    this.#file = openSync(path, "a", 0o600);
    this.#bytes = fstatSync(this.#file).size;
  }

  /** Whole lines, so that none is torn apart between two files. */
  write(text: string | Uint8Array): void {
    if (this.#bytes >= this.#limitBytes) this.#beginAnew();
    this.#bytes += typeof text === "string" ? writeSync(this.#file, text) : writeSync(this.#file, text);
  }

  close(): void {
    closeSync(this.#file);
  }

  #beginAnew(): void {
    closeSync(this.#file);
    renameSync(this.#path, `${this.#path}.1`);
    this.#file = openSync(this.#path, "a", 0o600);
    this.#bytes = 0;
  }
}

/** Options for `Loggers` that send every line to a file. */
export function logDestination(path: string | undefined): { destination?: LogFile } {
  return path === undefined ? {} : { destination: new LogFile(path) };
}
