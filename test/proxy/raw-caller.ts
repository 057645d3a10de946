/** A caller that writes exactly the bytes a test names, which no HTTP client would. */
import {connect} from 'node:net';
import {until} from '../until.ts';

export type RawCaller = {
  write(bytes: string | Uint8Array): void;
  /** All that came, one character per byte. */
  received(): string;
  /** The proxy has closed the connection. Waits for it. */
  closed(): Promise<void>;
  isClosed(): boolean;
  /** Ends his side and keeps reading. */
  end(): void;
  /** Leaves at once. */
  close(): Promise<void>;
};

export type RawAnswer = {status: number; headers: Record<string, string>; body: string; whole: boolean};

export function openRaw(port: number): Promise<RawCaller> {
  return new Promise((resolve, reject) => {
    const socket = connect({port, host: '127.0.0.1', allowHalfOpen: true});
    let text = '';
    let closed = false;
    socket.on('data', (chunk) => (text += chunk.toString('latin1')));
    socket.on('end', () => {
      closed = true;
      socket.end();
    });
    socket.on('close', () => (closed = true));
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      socket.on('error', () => {}); // a reset counts as closed
      resolve({
        write: (bytes) => void socket.write(bytes),
        received: () => text,
        isClosed: () => closed,
        closed: () => until(() => closed, `the proxy closes the connection; so far it has sent ${text}`),
        end: () => void socket.end(),
        close: () =>
          new Promise((left) => {
            if (socket.destroyed) return left();
            socket.once('close', () => left());
            socket.destroy();
          }),
      });
    });
  });
}

function readChunks(text: string): {body: string; rest: string; whole: boolean} {
  let body = '';
  let rest = text;
  for (;;) {
    const size = /^([0-9a-f]+)\r\n/i.exec(rest);
    if (size?.[1] === undefined) return {body, rest, whole: false};
    const length = Number.parseInt(size[1], 16);
    const start = size[0].length;
    body += rest.slice(start, start + length);
    rest = rest.slice(start + length + 2);
    if (length === 0) return {body, rest, whole: true};
  }
}

function readOne(text: string): {answer: RawAnswer; rest: string} | undefined {
  const headEnd = text.indexOf('\r\n\r\n');
  const status = /^HTTP\/1\.1 (\d{3}) /.exec(text)?.[1];
  if (headEnd === -1 || status === undefined) return undefined;
  const lines = text.slice(0, headEnd).split('\r\n').slice(1);
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  );
  const behind = text.slice(headEnd + 4);
  const length = Number(headers['content-length'] ?? 0);
  const {body, rest, whole} =
    headers['transfer-encoding'] === 'chunked'
      ? readChunks(behind)
      : {body: behind.slice(0, length), rest: behind.slice(length), whole: behind.length >= length};
  return {answer: {status: Number(status), headers, body, whole}, rest};
}

/** The answers in what came, in order. Throws if there is anything between or behind them. */
export function readAnswers(text: string): RawAnswer[] {
  const answers: RawAnswer[] = [];
  let rest = text;
  while (rest !== '') {
    const one = readOne(rest);
    if (one === undefined) throw new Error(`no HTTP answer: ${JSON.stringify(rest.slice(0, 300))}`);
    answers.push(one.answer);
    rest = one.rest;
  }
  return answers;
}

export type ErrorAnswer = {error: {message: string; type: string; param: string | null; code: string}};

export const errorIn = ({body}: RawAnswer): ErrorAnswer['error'] => (JSON.parse(body) as ErrorAnswer).error;

/** A POST of a chat, as bytes. */
export const rawPost = (body: string, headers = ''): string =>
  `POST /v1/chat/completions HTTP/1.1\r\nhost: models\r\ncontent-type: application/json\r\n${headers}` +
  `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;

/** Writes, waits for the end of the connection, and returns the answers. */
export async function exchange(port: number, ...bytes: (string | Uint8Array)[]): Promise<RawAnswer[]> {
  const caller = await openRaw(port);
  try {
    for (const each of bytes) caller.write(each);
    await caller.closed();
    return readAnswers(caller.received());
  } finally {
    await caller.close();
  }
}
