/** One request to a simulator, watched while it runs. */
import {Agent, request as httpRequest, type IncomingHttpHeaders} from 'node:http';

/** What a caller sees of one exchange, while it runs and after. */
export type Exchange = {
  status: number | undefined;
  headers: IncomingHttpHeaders;
  text: string;
  /** `Open`, `Complete`, or how it broke. */
  state: string;
  chunkSizes: number[];
  socketReused: boolean;
  ended: Promise<void>;
  leave: () => void;
};

export const start = (
  url: string,
  body: unknown,
  {headers = {}, agent, method = 'POST'}: {headers?: Record<string, string>; agent?: Agent; method?: string} = {},
): Exchange => {
  const outgoing = httpRequest(url, {method, headers, agent: agent ?? new Agent()});
  let resolveEnd = (): void => {};
  const exchange: Exchange = {
    status: undefined,
    headers: {},
    text: '',
    state: 'Open',
    chunkSizes: [],
    socketReused: false,
    ended: new Promise((resolve) => {
      resolveEnd = resolve;
    }),
    leave: () => outgoing.destroy(),
  };
  const end = (state: string): void => {
    if (exchange.state === 'Open') exchange.state = state;
    resolveEnd();
  };
  const decoder = new TextDecoder();
  outgoing.on('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
  outgoing.on('response', (incoming) => {
    exchange.status = incoming.statusCode;
    exchange.headers = incoming.headers;
    exchange.socketReused = outgoing.reusedSocket;
    incoming.on('data', (chunk: Buffer) => {
      exchange.chunkSizes.push(chunk.length);
      exchange.text += decoder.decode(chunk, {stream: true});
    });
    incoming.on('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
    incoming.on('end', () => end(incoming.complete ? 'Complete' : 'Incomplete'));
  });
  outgoing.end(
    method === 'GET' || method === 'DELETE' ? undefined : typeof body === 'string' ? body : JSON.stringify(body),
  );
  return exchange;
};

export type StreamedEvent = {event: string | undefined; data: Record<string, unknown>};

/** The events of a stream whose data is JSON. */
export const eventsOf = (text: string): StreamedEvent[] =>
  text
    .split('\n\n')
    .filter((block) => block.includes('data: '))
    .map((block) => ({
      event: /^event: (.*)$/m.exec(block)?.[1],
      data: JSON.parse(/^data: (.*)$/m.exec(block)?.[1] ?? '') as Record<string, unknown>,
    }));
