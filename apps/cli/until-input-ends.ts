/** Resolves when standard input ends: when it is a pipe, with the process at its other end, however that one ends. */
export function untilInputEnds(): Promise<void> {
  return new Promise((resolve) => {
    const { stdin } = process;
    const done = () => {
      stdin.destroy();
      resolve();
    };
    stdin.once("end", done);
    stdin.once("error", done);
    stdin.resume();
  });
}
