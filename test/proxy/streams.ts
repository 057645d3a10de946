/** Streams as backends write them and callers read them, and a backend whose every byte the test writes itself. */
import {createServer, type IncomingMessage, type ServerResponse} from 'node:http';
import type {AddressInfo} from 'node:net';
import type {BehaviourInput} from '../../simulator/index.ts';
import {until} from '../until.ts';

export const event = (value: unknown): string => `data: ${JSON.stringify(value)}\n\n`;

const chunk = (choice: object): string =>
  event({id: 'chatcmpl-1', object: 'chat.completion.chunk', model: 'qwen', choices: [choice]});

export const role = (index = 0): string => chunk({index, delta: {role: 'assistant', content: ''}, finish_reason: null});
export const token = (content: string, index = 0): string => chunk({index, delta: {content}, finish_reason: null});
export const finish = (index = 0): string => chunk({index, delta: {}, finish_reason: 'stop'});
export const usage = (prompt: number, completion: number): string =>
  event({choices: [], usage: {prompt_tokens: prompt, completion_tokens: completion}});
export const done = 'data: [DONE]\n\n';

/** Exactly these bytes of an event stream. */
export const raw = (chunks: string[], end: 'End' | 'Cut' | 'Reset' | 'Hang' = 'End'): BehaviourInput => ({
  do: 'raw',
  chunks: chunks.map((text) => ({text})),
  end,
});

type Chunk = {choices?: {delta?: {content?: string}}[]};

/** What a stream says, its tokens joined; comments and other events left out. */
export const textOf = (body: string): string =>
  body
    .split('\n\n')
    .filter((each) => each.startsWith('data: {'))
    .flatMap((each) => (JSON.parse(each.slice('data: '.length)) as Chunk).choices ?? [])
    .map(({delta}) => delta?.content ?? '')
    .join('');

export type ErrorEvent = {
  error: {message: string; type: string; code: string; backend?: string; attempts?: number};
  usage?: {prompt_tokens: number; completion_tokens: number; total_tokens: number; estimated?: boolean};
};

/** The last event, which has to be an error. */
export function errorAtEnd(body: string): ErrorEvent {
  const last =
    body
      .split('\n\n')
      .filter((each) => each.startsWith('data: '))
      .at(-1) ?? 'data: null';
  const value = last === 'data: [DONE]' ? null : (JSON.parse(last.slice('data: '.length)) as ErrorEvent | null);
  if (value === null || !('error' in value)) throw new Error(`no error at the end of the stream: ${last}`);
  return value;
}

/** Reads a stream piece by piece. */
export type StreamedBody = {
  /** All that has come so far. */
  readonly text: string;
  untilHas(part: string): Promise<void>;
  rest(): Promise<string>;
};

export function readBody(response: Response): StreamedBody {
  if (response.body === null) throw new Error('a response without a body');
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  const read = async (): Promise<boolean> => {
    const {done: ended, value} = await reader.read();
    text += value ?? '';
    return !ended;
  };
  return {
    get text() {
      return text;
    },
    async untilHas(part) {
      while (!text.includes(part)) if (!(await read())) throw new Error(`the stream ended without ${part}: ${text}`);
    },
    async rest() {
      while (await read());
      return text;
    },
  };
}

export type Exchange = {request: IncomingMessage; response: ServerResponse; connection: number};

/** A backend that answers nothing by itself. */
export type ByHand = {
  url: string;
  exchanges: Exchange[];
  openConnections(): number;
  /** The nth request (from 1), once it has come. */
  exchange(number: number): Promise<Exchange>;
  /** The nth one, as a stream that has sent its headers and these bytes. */
  stream(number: number, text: string): Promise<ServerResponse>;
  close(): Promise<void>;
};

export async function startByHand(): Promise<ByHand> {
  const exchanges: Exchange[] = [];
  let connections = 0;
  let open = 0;
  const numbers = new WeakMap<object, number>();
  const server = createServer({keepAliveTimeout: 300_000}, (request, response) => {
    request.resume();
    exchanges.push({request, response, connection: numbers.get(request.socket) ?? 0});
  });
  server.on('connection', (socket) => {
    numbers.set(socket, (connections += 1));
    open += 1;
    socket.on('close', () => (open -= 1));
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const exchange = async (number: number): Promise<Exchange> => {
    await until(() => exchanges.length >= number, `request ${number} at the backend`);
    return exchanges[number - 1]!;
  };
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    exchanges,
    openConnections: () => open,
    exchange,
    async stream(number, text) {
      const {response} = await exchange(number);
      response.writeHead(200, {'content-type': 'text/event-stream'});
      response.write(text);
      return response;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** False: it stays full, over many turns of the event loop in which proxy and caller would have read. */
async function becomesWritable(stream: ServerResponse): Promise<boolean> {
  let before = stream.writableLength;
  for (let quiet = 0; quiet < 50; quiet += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    if (!stream.writableNeedDrain) return true;
    if (stream.writableLength !== before) quiet = 0;
    before = stream.writableLength;
  }
  return false;
}

/**
 * Writes tokens until no more fits into the sockets on the way to a caller who does not read: the proxy has stopped to read as well.
 * Returns how many bytes that took.
 */
export async function fillUp(stream: ServerResponse): Promise<number> {
  const large = token('x'.repeat(100_000));
  let bytes = 0;
  while (stream.write(large) || (await becomesWritable(stream))) {
    bytes += large.length;
    if (bytes > 100_000_000) throw new Error('a hundred megabytes have gone, and nobody has read them');
  }
  return bytes + large.length;
}
