/** Reading a request's body and answering plainly. */
import type {IncomingMessage, ServerResponse} from 'node:http';
import type {PlainAnswer} from './reply.ts';

const mostBodyBytes = 64 * 1024 * 1024;

export type ReceivedBody = {kind: 'Whole'; bytes: Buffer<ArrayBuffer>} | {kind: 'TooLarge'} | {kind: 'CallerLeft'};

export const readBody = (request: IncomingMessage): Promise<ReceivedBody> =>
  new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      // What is too much is read and dropped, so that the caller gets to see the answer.
      if (bytes <= mostBodyBytes) chunks.push(chunk);
    });
    request.on('end', () => {
      if (bytes > mostBodyBytes) resolve({kind: 'TooLarge'});
      else resolve({kind: 'Whole', bytes: Buffer.concat(chunks)});
    });
    // An 'error' always comes with a 'close'; without a listener it would end the process.
    request.on('error', () => {});
    request.on('close', () => resolve({kind: 'CallerLeft'}));
  });

/** @throws SyntaxError */
export const parseJson = (text: string): unknown => JSON.parse(text) as unknown;

export const send = (response: ServerResponse, answer: Pick<PlainAnswer, 'status' | 'headers' | 'body'>): void => {
  response.writeHead(answer.status, {...answer.headers, 'content-length': Buffer.byteLength(answer.body)});
  response.end(answer.body);
};

export const pathOf = (request: IncomingMessage): string => (request.url ?? '').split('?', 1)[0] ?? '';
