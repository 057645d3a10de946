/** An answer that is not streamed: held until it is whole, so that a broken one can still be asked for elsewhere. */
import {isAscii} from 'node:buffer';
import {JsonSyntaxError} from '../wire/json-scan.ts';
import {mediaType, firstValue} from '../wire/headers.ts';
import {estimateTokens, estimateUsage, type Call} from './call.ts';
import {backendFailure, errorInside, refusal, type Failure, type Reply} from './failure.ts';
import type {Receiver, Settled} from './attempt.ts';
import type {MemoryBudget} from './memory.ts';

type Collector = {chunks: Uint8Array[]; bytes: number};

export type WholeOptions = {
  call: Call;
  memory: MemoryBudget;
  modelIsFixed: boolean;
  head: Pick<Reply, 'status' | 'headers'>;
  settle: (result: Settled) => void;
};

const outOfMemory: Failure = {
  verdict: undefined,
  code: 'overloaded',
  summary: 'its answer does not fit into limits.maxBufferedBytes',
  cause: 'limits.maxBufferedBytes is used up',
  responded: true,
  committed: false,
};

function readSuccess({call, head, modelIsFixed}: WholeOptions, body: Buffer): Settled {
  const contentType = mediaType(firstValue(head.headers, 'content-type'));
  const malformed = (problem: string): Settled => ({
    type: 'Failed',
    failure: backendFailure('MalformedReply', problem, {responded: true}),
  });
  if (contentType !== 'application/json')
    return malformed(`answered with "${isAscii(body) ? contentType.slice(0, 60) : 'bytes'}", not with JSON`);
  const answer = call.request.api.readAnswer(body);
  if (answer.error !== undefined)
    return {type: 'Failed', failure: errorInside(answer.error, head.headers, modelIsFixed)};
  if (answer.problem !== undefined) return malformed(answer.problem);
  if (call.request.streamed) return malformed('was asked for a stream and answered without one');
  const usage = answer.usage ?? estimateUsage(call, estimateTokens(body.length));
  return {type: 'Whole', reply: {...head, body}, usage};
}

function readWhole(options: WholeOptions, body: Buffer): Settled {
  const {call, head, modelIsFixed} = options;
  if (head.status < 200 || head.status > 299) {
    return {type: 'Failed', failure: refusal({...head, body}, call.request.api.readError(body), modelIsFixed)};
  }
  try {
    return readSuccess(options, body);
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    return {
      type: 'Failed',
      failure: backendFailure('MalformedReply', 'answered with malformed JSON', {
        responded: true,
        cause: error.message,
      }),
    };
  }
}

export function receiveWhole(options: WholeOptions): Receiver {
  const collected: Collector = {chunks: [], bytes: 0};
  return {
    data(chunk) {
      if (!options.memory.take(chunk.length)) return options.settle({type: 'Failed', failure: outOfMemory});
      collected.chunks.push(chunk);
      collected.bytes += chunk.length;
    },
    end() {
      options.settle(readWhole(options, Buffer.concat(collected.chunks, collected.bytes)));
    },
    broken: (failure) => failure,
    closed: () => options.memory.give(collected.bytes),
  };
}
