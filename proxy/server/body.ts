/** Reads a request's body: bounded per request by `maxBodyBytes`, over all requests by the memory budget. */
import {isUtf8} from 'node:buffer';
import type {IncomingMessage, ServerResponse} from 'node:http';
import type {MemoryBudget} from '../engine/memory.ts';
import {RequestError} from '../wire/errors.ts';
import {mediaType} from '../wire/headers.ts';

export type BodyOptions = {maxBytes: number; memory: MemoryBudget};

/** The caller left before his body was here: there is nobody to answer. */
export class CallerGoneError extends Error {}

export type HeldBody = {bytes: Buffer; release(): void};

const tooLarge = (maxBytes: number): RequestError =>
  new RequestError('body_too_large', `The body is larger than the gateway's limits.maxBodyBytes of ${maxBytes} bytes.`);

const expectsContinue = new WeakSet<IncomingMessage>();

/** For the server's `checkContinue`: the caller is told to go on only once his headers are found good. */
export const deferContinue = (request: IncomingMessage): void => void expectsContinue.add(request);

const isJson = (contentType: string): boolean => {
  if (contentType === 'application/json') return true; // as nearly everybody writes it
  const charset = /charset\s*=\s*"?([^";\s]+)/i.exec(contentType)?.[1]?.toLowerCase() ?? 'utf-8';
  return mediaType(contentType) === 'application/json' && ['utf-8', 'utf8', 'us-ascii'].includes(charset);
};

/** Node reads any coding whose list ends in `chunked`; what is under it would pass for the body. */
function checkFraming({headers}: IncomingMessage): void {
  if ((headers['transfer-encoding'] ?? 'chunked').toLowerCase() === 'chunked') return;
  throw new RequestError('malformed_http', 'The only transfer-encoding that is understood is "chunked".', {
    headers: {connection: 'close'},
  });
}

/** A missing type is refused too: a web page can send that to a proxy on its reader's machine without the browser asking first. */
function checkJson({headers}: IncomingMessage): void {
  if (isJson(headers['content-type'] ?? '')) return;
  throw new RequestError(
    'unsupported_media_type',
    'The body must be JSON in UTF-8: send "content-type: application/json".',
  );
}

function checkHeaders({headers}: IncomingMessage, maxBytes: number): void {
  if ((headers['content-encoding'] ?? 'identity').toLowerCase() !== 'identity') {
    throw new RequestError(
      'unsupported_media_type',
      'The body must not be compressed: send it without "content-encoding".',
    );
  }
  if (Number(headers['content-length'] ?? 0) > maxBytes) throw tooLarge(maxBytes);
}

function collect(request: IncomingMessage, {maxBytes, memory}: BodyOptions): Promise<HeldBody> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const release = (): void => {
    memory.give(bytes);
    bytes = 0;
  };
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      request.off('data', onData);
      release();
      chunks.length = 0;
      request.resume(); // what still comes is dropped, for as long as the server's requestTimeout lets it come
      reject(error);
    };
    const onData = (chunk: Buffer): void => {
      if (bytes + chunk.length > maxBytes) return fail(tooLarge(maxBytes));
      if (!memory.take(chunk.length)) {
        return fail(
          new RequestError(
            'overloaded',
            'This proxy holds as many bytes of bodies as its limits.maxBufferedBytes allows.',
            {headers: {'retry-after': '1'}},
          ),
        );
      }
      chunks.push(chunk);
      bytes += chunk.length;
    };
    request.on('data', onData);
    request.on('end', () =>
      resolve({bytes: chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks), release}),
    );
    request.on('close', () => {
      if (!request.complete) fail(new CallerGoneError('the caller left before the end of the body'));
    });
    request.on('error', () => fail(new CallerGoneError('the body broke off')));
  });
}

/** A body of any type. */
export function readBytes(request: IncomingMessage, response: ServerResponse, options: BodyOptions): Promise<HeldBody> {
  checkFraming(request);
  checkHeaders(request, options.maxBytes);
  if (expectsContinue.has(request)) response.writeContinue();
  return collect(request, options);
}

/** A body that has to be JSON. */
export function readJson(request: IncomingMessage, response: ServerResponse, options: BodyOptions): Promise<HeldBody> {
  checkJson(request);
  return readBytes(request, response, options);
}

/** Throws {@link RequestError}. */
export function checkUtf8(bytes: Buffer): void {
  if (!isUtf8(bytes)) throw new RequestError('invalid_json', 'The body is not valid UTF-8.');
}
