const PAGE = 4096;
const ZEROS = Buffer.alloc(PAGE);

/** The content of one copy of a volume; what was never written is zeros and costs nothing. */
export class SimDisk {
  readonly #pages: Map<number, Buffer>;

  constructor(pages: ReadonlyMap<number, Buffer> = new Map()) {
    this.#pages = new Map(pages);
  }

  /** As it is now: pages are never changed in place. */
  copy(): SimDisk {
    return new SimDisk(this.#pages);
  }

  write(offset: number, data: Uint8Array): void {
    for (let done = 0; done < data.length; ) {
      const [index, start] = [Math.floor((offset + done) / PAGE), (offset + done) % PAGE];
      const part = data.subarray(done, done + PAGE - start);
      const page = Buffer.from(this.#pages.get(index) ?? ZEROS);
      page.set(part, start);
      this.#pages.set(index, page);
      done += part.length;
    }
  }

  read(offset: number, length: number): Buffer {
    const result = Buffer.alloc(length);
    for (let done = 0; done < length; ) {
      const [index, start] = [Math.floor((offset + done) / PAGE), (offset + done) % PAGE];
      const part = (this.#pages.get(index) ?? ZEROS).subarray(start, start + length - done);
      result.set(part, done);
      done += part.length;
    }
    return result;
  }
}
