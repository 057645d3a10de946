/** What goes over the wire: load and upstream make it from the same functions, so that every byte of an answer can be checked. */
import {nowUs} from './clock.ts';

const prose =
  'The quiet river remembers the golden garden, and the lantern welcomes whoever comes by the sea.\n' +
  'She said: "The patient bridge carries them all after the rain; it has never asked for more."\n\n';
const fill = (length: number): string => prose.repeat(Math.ceil(length / prose.length)).slice(0, length);

const digits = (value: number, count: number): string => String(Math.trunc(value)).padStart(count, '0');
/** Stands in every request, and the answer has to name the same one: answers that were swapped are noticed. */
const callerMark = 'caller-';
/** Stands behind every prompt, with the length of the body: what was cut on its way is noticed. */
const endMark = 'body-of-';

export type Streaming = {chunks: number; perSecond: number};
export type Asked = {caller: string; stream: boolean; whole: boolean};

/** The bytes of a chat of `promptBytes`, in the turns of a conversation. `headers`: further lines that a peer wants. */
export function requestOf(
  port: number,
  what: {caller: number; promptBytes: number; headers?: string; streaming?: Streaming},
): Buffer {
  const {caller, promptBytes, headers = '', streaming} = what;
  const turns = promptBytes > 10_000 ? 1 : 5;
  const messages = Array.from({length: turns}, (_, turn) => ({
    role: turn % 2 === 0 ? 'user' : 'assistant',
    content: fill(promptBytes / turns),
  }));
  const unmarked = JSON.stringify({
    model: 'chat',
    messages: [
      {role: 'system', content: `You help ${callerMark}${digits(caller, 4)}.`},
      ...messages,
      {role: 'user', content: `${endMark}${digits(0, 8)}`},
    ],
    temperature: 0.7,
    max_tokens: streaming?.chunks ?? 256,
    seed: streaming?.perSecond ?? 1,
    ...(streaming !== undefined && {stream: true}),
  });
  const length = Buffer.byteLength(unmarked);
  const body = unmarked.replace(`${endMark}${digits(0, 8)}`, `${endMark}${digits(length, 8)}`);
  return Buffer.from(
    `POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\ncontent-type: application/json\r\naccept: */*\r\n` +
      `user-agent: bench\r\n${headers}content-length: ${length}\r\n\r\n${body}`,
  );
}

/** Reads a request's body without parsing it: the upstream must cost little. */
export function readAsked(body: Buffer): Asked {
  const at = body.indexOf(callerMark) + callerMark.length;
  const end = body.lastIndexOf(endMark) + endMark.length;
  return {
    caller: body.toString('latin1', at, at + 4),
    stream: body.length < 10_000 && body.includes('"stream":true'),
    whole: end >= endMark.length && body.length >= Number(body.toString('latin1', end, end + 8)),
  };
}

export const readStreaming = (body: Buffer): Streaming => {
  const {max_tokens: chunks, seed: perSecond} = JSON.parse(body.toString()) as {max_tokens: number; seed: number};
  return {chunks, perSecond};
};

/** 1.5 KB. */
export const answerOf = (caller: string): string =>
  JSON.stringify({
    id: `chatcmpl-${caller}`,
    object: 'chat.completion',
    created: 1_735_689_600,
    model: 'bench-upstream',
    choices: [
      {
        index: 0,
        message: {role: 'assistant', content: fill(1_190), refusal: null},
        logprobs: null,
        finish_reason: 'stop',
      },
    ],
    usage: {prompt_tokens: 420, completion_tokens: 256, total_tokens: 676},
    system_fingerprint: 'fp_bench',
  });

const eventOf = (caller: string, delta: object, finish: string | null): string =>
  `data: ${JSON.stringify({
    id: `chatcmpl-${caller}`,
    object: 'chat.completion.chunk',
    created: 1_735_689_600,
    model: 'bench-upstream',
    system_fingerprint: 'fp_bench',
    choices: [{index: 0, delta, logprobs: null, finish_reason: finish}],
  })}\n\n`;

export type StreamTexts = {
  first: string;
  /** Chunk number `index`, with the time of now. */
  chunk(index: number): string;
  /** Number and time of a chunk that is as `chunk` writes it; undefined of anything else. */
  read(event: string): {index: number; sentUs: number} | undefined;
  last: string;
};

export const done = 'data: [DONE]\n\n';

export function streamTexts(caller: string): StreamTexts {
  const template = eventOf(caller, {content: '@'}, null);
  const at = template.indexOf('@');
  const before = template.slice(0, at);
  const after = template.slice(at + 1);
  const length = before.length + 23 + after.length;
  return {
    first: eventOf(caller, {role: 'assistant', content: ''}, null),
    last: eventOf(caller, {}, 'stop'),
    chunk: (index) => `${before}${digits(index, 6)} ${digits(nowUs(), 16)}${after}`,
    read: (event) =>
      event.length === length && event.startsWith(before) && event.endsWith(after)
        ? {index: Number(event.slice(at, at + 6)), sentUs: Number(event.slice(at + 7, at + 23))}
        : undefined,
  };
}
