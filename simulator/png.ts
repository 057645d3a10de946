/** Small pictures. */
import {crc32, deflateSync} from 'node:zlib';
import {hashOf, randomFrom} from './text.ts';

const side = 16;

/** Length, type, data, checksum: https://www.w3.org/TR/png-3/#5Chunk-layout */
const chunk = (type: string, data: Uint8Array): Uint8Array => {
  const [length, typed, checksum] = [Buffer.alloc(4), Buffer.concat([Buffer.from(type), data]), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  checksum.writeUInt32BE(crc32(typed));
  return Buffer.concat([length, typed, checksum]);
};

/** A PNG of 16 by 16 coloured pixels, the same for the same seed. */
export const pictureOf = (seed: string): Uint8Array => {
  const random = randomFrom(hashOf(seed));
  const header = Buffer.from([0, 0, 0, side, 0, 0, 0, side, 8, 2, 0, 0, 0]);
  // Each line begins with a byte for its filter, 0: none.
  const lines = Array.from({length: side}, () => [
    0,
    ...Array.from({length: side * 3}, () => Math.floor(random() * 256)),
  ]);
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(Buffer.from(lines.flat()))),
    chunk('IEND', new Uint8Array()),
  ]);
};
