/** An answer that is not streamed: held until it is whole, so that a broken one can still be asked for elsewhere. */
import {brotliDecompressSync, gunzipSync, inflateSync, zstdDecompressSync} from 'node:zlib';
import {JsonSyntaxError} from '../wire/json-scan.ts';
import {mediaType, firstValue, type ReplyHeaders} from '../wire/headers.ts';
import {estimateTokens} from '../wire/api.ts';
import {estimateUsage} from './call.ts';
import {backendFailure, errorInside, refusal} from './failure.ts';
import type {Receiver, ReceiverOptions, Settled} from './receiver.ts';
import {outOfMemory} from './memory.ts';

type Collector = {chunks: Uint8Array[]; bytes: number; whole: boolean};

type WholeOptions = Pick<ReceiverOptions, 'call' | 'memory' | 'modelIsFixed' | 'head' | 'settle'>;

const decoders: Record<string, (body: Buffer, options: {maxOutputLength: number}) => Buffer> = {
  gzip: gunzipSync,
  'x-gzip': gunzipSync,
  deflate: inflateSync,
  br: brotliDecompressSync,
  zstd: zstdDecompressSync,
};
const maxErrorBytes = 1024 * 1024;

/** A refusal that was compressed without being asked to: whose fault it is has to be read all the same, and callers get it plain. */
function decode(body: Buffer, headers: ReplyHeaders): Buffer {
  const encoding = (firstValue(headers, 'content-encoding') ?? 'identity').trim().toLowerCase();
  if (encoding === 'identity') return body;
  try {
    return decoders[encoding]?.(body, {maxOutputLength: maxErrorBytes}) ?? Buffer.alloc(0);
  } catch {
    return Buffer.alloc(0); // not what it says it is: the status has to do
  }
}

function readRefusal({call, head, modelIsFixed}: WholeOptions, received: Buffer): Settled {
  const body = decode(received, head.headers);
  return {
    type: 'Failed',
    failure: refusal(call.request, {...head, body}, call.request.api.readError(body), modelIsFixed),
  };
}

function readSuccess({call, head, modelIsFixed}: WholeOptions, body: Buffer): Settled {
  const contentType = mediaType(firstValue(head.headers, 'content-type'));
  const malformed = (problem: string, cause?: string): Settled => ({
    type: 'Failed',
    failure: backendFailure('MalformedReply', problem, cause),
  });
  if (contentType !== 'application/json')
    return malformed('answered with something else than JSON', `content-type ${contentType.slice(0, 64)}`);
  const answer = call.request.api.readAnswer(body);
  if (answer.error !== undefined)
    return {type: 'Failed', failure: errorInside(call.request, answer.error, head.headers, modelIsFixed)};
  if (answer.problem !== undefined) return malformed(answer.problem);
  if (call.request.answer === 'Events') {
    const failure = backendFailure('MalformedReply', 'was asked for a stream and answered without one');
    return {type: 'Failed', failure: call.request.carriedOnce ? {...failure, verdict: undefined} : failure};
  }
  const usage = call.request.api.counted
    ? (answer.usage ?? estimateUsage(call, estimateTokens(answer.contentLength ?? 0)))
    : undefined;
  return {type: 'Whole', reply: {...head, body}, usage};
}

function readWhole(options: WholeOptions, body: Buffer): Settled {
  if (options.head.status < 200 || options.head.status > 299) return readRefusal(options, body);
  try {
    return readSuccess(options, body);
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    return {
      type: 'Failed',
      failure: backendFailure('MalformedReply', 'answered with malformed JSON', error.message),
    };
  }
}

export function receiveWhole(options: WholeOptions): Receiver {
  const collected: Collector = {chunks: [], bytes: 0, whole: false};
  const release = (): void => options.memory.give(collected.bytes);
  return {
    data(chunk) {
      if (!options.memory.take(chunk.length)) return options.settle({type: 'Failed', failure: outOfMemory});
      collected.chunks.push(chunk);
      collected.bytes += chunk.length;
    },
    end() {
      const body = Buffer.concat(collected.chunks.splice(0), collected.bytes);
      collected.whole = true;
      options.settle(readWhole(options, body));
    },
    broken: (failure) => failure,
    closed() {
      // A whole body stays in memory until its request has ended: to be sent, at the caller's pace, or as what a failure holds.
      if (collected.whole) options.call.caller.onClosed(release);
      else release();
    },
  };
}
