/**
 * The model server of the benchmark: raw sockets, prebuilt answers, one shared tick for all streams. A process of its own; its
 * parent gets `{port}` over IPC, and `{streams, left}` whenever it asks: streams that run, streams whose caller has left.
 */
import {createServer, type Server, type Socket} from 'node:net';
import {pathToFileURL} from 'node:url';
import {answerOf, done, readAsked, readStreaming, streamTexts, type StreamTexts} from './payload.ts';

type Stream = {socket: Socket; texts: StreamTexts; next: number; chunks: number; periodMs: number; dueAt: number};

export type UpstreamState = {streams: number; left: number};
export type Upstream = {port: number; state: () => UpstreamState; close: () => void};

const headOf = (status: string, headers: string): string =>
  `HTTP/1.1 ${status}\r\ndate: Fri, 21 Nov 2025 09:00:00 GMT\r\nserver: bench\r\nx-request-id: 01JD6ZC0Q5\r\n${headers}\r\n`;
const streamHead = headOf(
  '200 OK',
  'content-type: text/event-stream\r\ncache-control: no-cache\r\nx-accel-buffering: no\r\ntransfer-encoding: chunked\r\n',
);
const jsonHead = (status: string, length: number): string =>
  headOf(status, `content-type: application/json\r\ncontent-length: ${length}\r\n`);
const refusal = '{"error":{"message":"the prompt did not come whole"}}';
const framed = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`;

/** Calls `handle` with the body of each request. Only content-length, as all peers send it. */
function readRequests(socket: Socket, handle: (body: Buffer) => void): void {
  let parts: Buffer[] = [];
  let have = 0;
  let need = 1;
  socket.on('data', (part: Buffer) => {
    parts.push(part);
    have += part.length;
    if (have < need) return;
    let bytes = parts.length === 1 ? part : Buffer.concat(parts, have);
    for (need = 1; bytes.length > 0;) {
      const end = bytes.indexOf('\r\n\r\n') + 4;
      const length = end < 4 ? undefined : lengthIn(bytes.toString('latin1', 0, end));
      if (Number.isNaN(length)) {
        socket.end(headOf('411 Length Required', 'connection: close\r\n'));
        return;
      }
      need = length === undefined ? bytes.length + 1 : end + length;
      if (bytes.length < need) break;
      handle(bytes.subarray(end, need));
      bytes = bytes.subarray(need);
      need = 1;
    }
    parts = bytes.length === 0 ? [] : [bytes];
    have = bytes.length;
  });
}

function lengthIn(head: string): number {
  const text = head.toLowerCase();
  const at = text.indexOf('\r\ncontent-length:');
  return at === -1 ? NaN : Number.parseInt(text.slice(at + 17), 10);
}

/** One tick a millisecond writes what is due, so that 500 streams are no 500 timers. */
function createTicker(): {streams: Set<Stream>; stop: () => void} {
  const streams = new Set<Stream>();
  const write = (stream: Stream): void => {
    const {socket, texts, next} = stream;
    if (next < stream.chunks) {
      socket.write(framed(texts.chunk(next)), 'latin1');
      stream.next += 1;
      stream.dueAt += stream.periodMs;
      return;
    }
    socket.write(`${framed(texts.last)}${framed(done)}0\r\n\r\n`, 'latin1');
    streams.delete(stream);
  };
  const timer = setInterval(() => {
    const now = performance.now();
    for (const stream of streams) if (stream.dueAt <= now) write(stream);
  }, 1);
  return {streams, stop: () => clearInterval(timer)};
}

export async function startUpstream(): Promise<Upstream> {
  const {streams, stop} = createTicker();
  const answers = new Map<string, string>();
  let left = 0;
  let begun = 0;

  const startStream = (socket: Socket, caller: string, body: Buffer): void => {
    const {chunks, perSecond} = readStreaming(body);
    const periodMs = 1_000 / perSecond;
    begun += 1;
    const dueAt = performance.now() + periodMs * ((begun * 0.618034) % 1); // spread evenly over the period
    const stream = {socket, texts: streamTexts(caller), next: 0, chunks, periodMs, dueAt};
    socket.write(streamHead + framed(stream.texts.first), 'latin1');
    streams.add(stream);
  };
  const answerTo = (caller: string): string => {
    const text = answerOf(caller);
    return jsonHead('200 OK', text.length) + text;
  };
  const handle = (socket: Socket, body: Buffer): void => {
    const {caller, stream, whole} = readAsked(body);
    if (!whole) return void socket.write(jsonHead('400 Bad Request', refusal.length) + refusal, 'latin1');
    if (stream) return startStream(socket, caller, body);
    const known = answers.get(caller) ?? answerTo(caller);
    answers.set(caller, known);
    socket.write(known, 'latin1');
  };
  const accept = (socket: Socket): void => {
    socket.setNoDelay(true).on('error', () => {}); // it closes next
    socket.on('close', () => {
      for (const stream of streams) if (stream.socket === socket && streams.delete(stream)) left += 1;
    });
    readRequests(socket, (body) => handle(socket, body));
  };

  const {port, close} = await listen(accept);
  return {
    port,
    state: () => ({streams: streams.size, left}),
    close() {
      stop();
      close();
    },
  };
}

/** On two loopback addresses, so that a balancer has something to balance. */
async function listen(accept: (socket: Socket) => void): Promise<{port: number; close: () => void}> {
  const sockets = new Set<Socket>();
  const open = (port: number, host: string): Promise<Server> =>
    new Promise((resolve, reject) => {
      const server = createServer((socket) => {
        sockets.add(socket);
        socket.on('close', () => sockets.delete(socket));
        accept(socket);
      });
      server.once('error', reject).listen({port, host, backlog: 4_096}, () => resolve(server));
    });
  const first = await open(0, '127.0.0.1');
  const {port} = first.address() as {port: number};
  const second = await open(port, '127.0.0.2');
  return {
    port,
    close() {
      first.close();
      second.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const {port, state} = await startUpstream();
  process.on('message', () => process.send?.(state()));
  process.on('disconnect', () => process.exit());
  process.send?.({port});
}
