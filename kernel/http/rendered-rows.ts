interface Rendered {
  readonly stamp: string;
  readonly bytes: Buffer;
}

/** The rows that one kind of reader has seen, by id. */
export interface ReaderRows {
  /** The row as it was rendered when it had this stamp; undefined when it has changed since or was never rendered. */
  find(id: string, stamp: string): Buffer | undefined;
  keep(id: string, stamp: string, bytes: Buffer): void;
}

/** What a row takes beside its bytes, about. */
const OVERHEAD = 300;

/**
 * Rows of lists as they go over the wire, kept for the next list that holds them. A stamp must say all that a rendering
 * depends on besides its reader; a reader, all that is not of the row: version, addresses in links, what may be seen.
 */
export class RenderedRows {
  readonly #maxBytes: number;
  readonly #readers = new Map<string, Map<string, Rendered>>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** The rows of a reader; to be used for one list. */
  of(reader: string): ReaderRows {
    let rows = this.#readers.get(reader);
    return {
      find: (id, stamp) => {
        rows ??= this.#readers.get(reader);
        const known = rows?.get(id);
        return known?.stamp === stamp ? known.bytes : undefined;
      },
      keep: (id, stamp, bytes) => this.#keep(reader, id, { stamp, bytes }),
    };
  }

  /** Full, it starts anew: simpler than choosing what goes, and as good while a few lists fit. */
  #keep(reader: string, id: string, rendered: Rendered): void {
    if (this.#bytes > this.#maxBytes) {
      this.#readers.clear();
      this.#bytes = 0;
    }
    const rows = this.#readers.get(reader) ?? new Map<string, Rendered>();
    this.#readers.set(reader, rows);
    this.#bytes += sizeOf(rendered) - sizeOf(rows.get(id));
    rows.set(id, rendered);
  }
}

function sizeOf(rendered: Rendered | undefined): number {
  return rendered === undefined ? 0 : rendered.bytes.length + rendered.stamp.length + OVERHEAD;
}
