/** The JSON of each server-sent event in a text that comes in pieces. Comments and other fields are passed over. */
export async function* eventsIn(pieces: AsyncIterable<string>): AsyncGenerator<unknown> {
  let rest = "";
  for await (const piece of pieces) {
    const events = `${rest}${piece}`.split("\n\n");
    rest = events.pop() ?? "";
    for (const event of events) {
      const data = event
        .split("\n")
        .filter((line) => line.startsWith("data:"))
        .map((line) => line.slice("data:".length).trim());
      if (data.length > 0) yield JSON.parse(data.join("\n"));
    }
  }
}
