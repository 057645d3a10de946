import {describe, expect, it} from '@jest/globals';
import {LineTooLong, linesOf} from './lines.ts';

async function* inChunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array, void> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

const linesIn = async (text: string, size: number, maxBytes = 1_000): Promise<string[]> => {
  const lines: string[] = [];
  for await (const line of linesOf(inChunks(Buffer.from(text), size), maxBytes)) lines.push(line);
  return lines;
};

const text = '{"a":"ä"}\n\n{"b":"€𝄞"}\n{"c":3}\n';
const lines = ['{"a":"ä"}', '{"b":"€𝄞"}', '{"c":3}'];

describe('linesOf', () => {
  for (let size = 1; size <= Buffer.byteLength(text); size += 1)
    it(`finds the same lines in chunks of ${size} bytes`, async () => {
      expect(await linesIn(text, size)).toEqual(lines);
    });

  it('takes a last line without end', async () => expect(await linesIn(text.trimEnd(), 4)).toEqual(lines));

  it('finds none in nothing', async () => expect(await linesIn('', 1)).toEqual([]));

  it.each([1, 3, 100])('bears lines of the longest size and none longer, in chunks of %i', async (size) => {
    expect(await linesIn('12345\n12345\n', size, 5)).toEqual(['12345', '12345']);
    await expect(linesIn('12345\n123456\n', size, 5)).rejects.toThrow(new LineTooLong('a line of more than 5 bytes'));
    await expect(linesIn('123456', size, 5)).rejects.toThrow(LineTooLong);
  });

  it('gives what came before its source broke, then throws', async () => {
    async function* broken(): AsyncGenerator<Uint8Array, void> {
      yield Buffer.from('1\n2');
      throw new Error('cut');
    }
    const found: string[] = [];
    const read = async (): Promise<void> => {
      for await (const line of linesOf(broken(), 10)) found.push(line);
    };
    await expect(read()).rejects.toThrow('cut');
    expect(found).toEqual(['1']);
  });
});
