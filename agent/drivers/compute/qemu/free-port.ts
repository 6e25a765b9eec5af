const FIRST = 49_152;
const COUNT = 16_384;
const TRIES = 50;

/**
 * Runs `listen` with one port after the other until it succeeds. Hosts have an address each, so ports are only contested
 * by guests of the same host. Throws the last failure.
 */
export async function withFreePort<T>(seed: string, listen: (port: number) => Promise<T>): Promise<T> {
  const start = [...seed].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % COUNT, 7);
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await listen(FIRST + ((start + attempt * 7) % COUNT));
    } catch (error) {
      if (attempt + 1 >= TRIES) throw error;
    }
  }
}
