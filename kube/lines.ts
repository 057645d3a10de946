/** The lines of bytes that come in chunks, which may be cut anywhere, also within a character. */

const newline = 0x0a; // no byte of a longer UTF-8 character is below 0x80

export class LineTooLong extends Error {
  override readonly name = 'LineTooLong';
}

/** Without their ends; empty ones are left out; the last one needs no end. Throws {@link LineTooLong}, and what `chunks` throws. */
export async function* linesOf(chunks: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<string, void> {
  let parts: Uint8Array[] = [];
  let bytes = 0;
  const add = (part: Uint8Array): void => {
    bytes += part.length;
    if (bytes > maxBytes) throw new LineTooLong(`a line of more than ${maxBytes} bytes`);
    parts.push(part);
  };
  const take = (): string => {
    const line = Buffer.concat(parts).toString('utf8');
    parts = [];
    bytes = 0;
    return line;
  };
  for await (const chunk of chunks) {
    let from = 0;
    for (let at = chunk.indexOf(newline); at !== -1; at = chunk.indexOf(newline, from)) {
      add(chunk.subarray(from, at));
      from = at + 1;
      const line = take();
      if (line !== '') yield line;
    }
    add(chunk.subarray(from));
  }
  const rest = take();
  if (rest !== '') yield rest;
}
