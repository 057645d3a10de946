/** One function per behaviour: from the answer as it should be to what goes over the wire instead. */
import type {Behaviour, BehaviourNamed} from './behaviour.ts';
import {chain, firstHalf, insertAfter, later, pings, split, take, takeBytes} from './pieces.ts';
import type {ErrorAnswer} from './errors.ts';
import {
  piece,
  properReply,
  type Answer,
  type Ending,
  type EventForm,
  type Piece,
  type Reply,
  type StreamedAnswer,
} from './reply.ts';

/** The pieces up to and with so many tokens; of a plain answer, half. */
const upToTokens = (answer: Answer, tokens: number): Iterable<Piece> =>
  answer.kind === 'Streamed'
    ? chain(answer.opening, take(answer.content, tokens))
    : firstHalf(properReply(answer).pieces);

const stopAt = (answer: Answer, at: {where: BehaviourNamed<'hang'>['where']; tokens: number}, end: Ending): Reply => {
  if (at.where === 'BeforeHeaders') return {delayMs: 0, head: undefined, pieces: [], end};
  const pieces = at.where === 'AfterTokens' ? upToTokens(answer, at.tokens) : [];
  return {...properReply(answer), pieces, end};
};

const status = ({status, body, headers}: BehaviourNamed<'status'>, errorAnswer: ErrorAnswer): Reply => {
  const reply = properReply(errorAnswer(status, {message: `Simulated status ${status}.`}));
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const own = text === undefined ? reply.pieces : [piece(text)];
  const length: Record<string, string> = text === undefined ? {} : {'content-length': String(Buffer.byteLength(text))};
  return {
    ...reply,
    head: {status, headers: {...reply.head?.headers, ...length, ...lowerCased(headers ?? {})}},
    pieces: own,
  };
};

const lowerCased = <Value>(headers: Record<string, Value>): Record<string, Value> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));

/** A graceful end needs a length that is true, so what is announced is left to chunked encoding. */
const withoutLength = (reply: Reply): Reply => {
  if (reply.head === undefined) return reply;
  const headers = {...reply.head.headers};
  delete headers['content-length'];
  return {...reply, head: {...reply.head, headers}};
};

const cut = (answer: Answer, {afterTokens, afterBytes, graceful}: BehaviourNamed<'cut'>): Reply => {
  const proper = properReply(answer);
  const pieces = afterBytes === undefined ? upToTokens(answer, afterTokens ?? 1) : takeBytes(proper.pieces, afterBytes);
  return graceful ? {...withoutLength(proper), pieces} : {...proper, pieces, end: 'Cut'};
};

/** A change that only a stream of events can show; any other answer stays as it is. */
const amongEvents = (answer: Answer, change: (answer: StreamedAnswer, events: EventForm) => Partial<Reply>): Reply => ({
  ...properReply(answer),
  ...(answer.kind === 'Streamed' && answer.events !== undefined ? change(answer, answer.events) : {}),
});

const pingsFirst = (answer: Answer, {intervalMs, count, thenAnswer}: BehaviourNamed<'pings'>): Reply => {
  const proper = properReply(answer);
  // Only a stream of events can be pinged; any other caller gets the silence that pings stand for.
  if (answer.kind === 'Plain' || answer.events === undefined) {
    return thenAnswer ? proper : {...proper, pieces: [], end: 'Hang'};
  }
  const before = pings(answer.events.ping, intervalMs, count);
  return thenAnswer ? {...proper, pieces: chain(before, proper.pieces)} : {...proper, pieces: before, end: 'Hang'};
};

const errorEvent = (answer: Answer, {afterTokens, error, done}: BehaviourNamed<'errorEvent'>): Reply =>
  amongEvents(answer, (streamed, events) => ({
    pieces: chain(
      upToTokens(answer, afterTokens),
      later(() => piece(events.error(error))),
      done ? streamed.done : [],
    ),
  }));

const failed = (answer: Answer, {afterTokens, error}: BehaviourNamed<'failed'>): Reply => {
  const {failed: fail} = answer;
  if (fail === undefined) return properReply(answer);
  if (answer.kind === 'Plain') return properReply({...answer, body: fail(error)});
  const pieces = chain(
    upToTokens(answer, afterTokens),
    later(() => piece(fail(error))),
  );
  return {...properReply(answer), pieces};
};

const noDone = (answer: Answer, keepOpen: boolean): Reply => {
  if (answer.kind === 'Plain') return properReply(answer);
  const pieces = chain(answer.opening, answer.content, answer.closing);
  return {...properReply(answer), pieces, end: keepOpen ? 'Hang' : 'End'};
};

const wrongContentLength = (answer: Answer, extraBytes: number): Reply => {
  const proper = properReply(answer);
  const pieces = [...proper.pieces];
  const length = pieces.reduce((sum, {data}) => sum + Buffer.byteLength(data), 0) + extraBytes;
  return {
    ...proper,
    head: {status: proper.head?.status ?? 200, headers: {...proper.head?.headers, 'content-length': String(length)}},
    pieces,
    end: 'Cut',
  };
};

const notJson = (body: string): Reply => ({
  delayMs: 0,
  head: {status: 200, headers: {'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body))}},
  pieces: [piece(body)],
  end: 'End',
});

const closeIdle = (answer: Answer, {afterMs, onNextRequest}: BehaviourNamed<'closeIdle'>): Reply => ({
  ...properReply(answer),
  afterwards: onNextRequest ? 'ResetOnNextRequest' : {closeAfterMs: afterMs},
});

const raw = ({status, headers, chunks, end}: BehaviourNamed<'raw'>): Reply => ({
  delayMs: 0,
  head: {status, headers: lowerCased(headers)},
  pieces: chunks.map(({text, base64, afterMs}) => piece(text ?? Buffer.from(base64 ?? '', 'base64'), afterMs)),
  end,
});

type Act<Name extends Behaviour['do']> = (
  answer: Answer,
  behaviour: BehaviourNamed<Name>,
  errorAnswer: ErrorAnswer,
) => Reply;

const acts: {[Name in Behaviour['do']]: Act<Name>} = {
  answer: properReply,
  hugeEvent: properReply,
  delay: (answer, {ms}) => {
    const proper = properReply(answer);
    return {...proper, delayMs: proper.delayMs + ms};
  },
  status: (_, behaviour, errorAnswer) => status(behaviour, errorAnswer),
  hang: (answer, behaviour) => stopAt(answer, behaviour, 'Hang'),
  reset: (answer, behaviour) => stopAt(answer, behaviour, 'Reset'),
  cut,
  roleOnly: (answer) => stopAt(answer, {where: 'AfterTokens', tokens: 0}, 'Hang'),
  pings: pingsFirst,
  malformedEvent: (answer, {afterTokens, data}) =>
    amongEvents(answer, ({opening, content, closing, done}, events) => ({
      pieces: chain(opening, insertAfter(content, afterTokens, piece(events.malformed(data))), closing, done),
    })),
  errorEvent,
  failed,
  noDone: (answer, {keepOpen}) => noDone(answer, keepOpen),
  wrongContentLength: (answer, {extraBytes}) => wrongContentLength(answer, extraBytes),
  slowBytes: (answer, {chunkBytes, intervalMs}) => {
    const proper = properReply(answer);
    return {...proper, pieces: split(proper.pieces, chunkBytes, intervalMs)};
  },
  notJson: (_, {body}) => notJson(body),
  truncated: (answer) => {
    const proper = properReply(answer);
    return {...withoutLength(proper), pieces: firstHalf(proper.pieces)};
  },
  closeIdle,
  raw: (_, behaviour) => raw(behaviour),
};

/** What goes over the wire when the answer should be `answer` and the simulator was told `behaviour`. */
export const misbehave = (answer: Answer, behaviour: Behaviour, errorAnswer: ErrorAnswer): Reply =>
  // The table pairs each name with its own function, which an index by a union of names cannot express.
  (acts[behaviour.do] as Act<Behaviour['do']>)(answer, behaviour, errorAnswer);
