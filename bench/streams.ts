/** Many streams at once: every chunk is compared, counted and timed against the moment when the upstream wrote it. */
import {nowUs} from './clock.ts';
import {connect, type Connection} from './connection.ts';
import {countWrong, newTally, type Peer, sameJson, type Tally} from './load.ts';
import {done, requestOf, streamTexts, type Streaming} from './payload.ts';

export type Streams = {
  /** `answers`: streams that came to their end whole. */
  tally: Tally;
  /** Chunks so far, of all streams. */
  chunks: () => number;
  /** Streams that have had so many chunks. */
  withChunks(count: number): number;
  /** Microseconds on the way, per chunk since the last call. */
  takeDelays(): number[];
  /** All have ended, one way or another. */
  ended: Promise<unknown>;
  leave(): void;
};

type Shared = {tally: Tally; delays: number[]};

/** Splits into events. Comments are the peer's own, and no chunks. */
function createEvents(handle: (event: string) => void): (bytes: Buffer) => void {
  let held = '';
  return (bytes) => {
    const text = held + bytes.toString('latin1');
    let from = 0;
    for (let end = text.indexOf('\n\n'); end !== -1; end = text.indexOf('\n\n', from)) {
      if (text[from] !== ':') handle(text.slice(from, end + 2));
      from = end + 2;
    }
    held = text.slice(from);
  };
}

/** The only order that is right: the role, chunk 0, 1, 2 …, the finish, `[DONE]`. */
function createStreamCheck(
  caller: number,
  count: number,
  shared: Shared,
): {chunks(): number; event: (text: string) => void; end(status: number): void} {
  const texts = streamTexts(String(caller).padStart(4, '0'));
  let chunks = 0;
  let seen = 0;
  let faulty = false;
  const fault = (why: string): void => {
    if (!faulty) countWrong(shared.tally, `stream ${caller}, event ${seen}: ${why}`);
    faulty = true;
  };
  /** What peers may rewrite is the JSON's spelling. */
  const read = (text: string): ReturnType<typeof texts.read> =>
    texts.read(text) ?? texts.read(`data: ${normalised(text.slice(6))}\n\n`);
  const fixed = (): string | undefined =>
    seen === 0 ? texts.first : seen === count + 1 ? texts.last : seen === count + 2 ? done : undefined;
  const compare = (text: string, expected: string): void => {
    if (text !== expected && !sameJson(text.slice(6), expected.slice(6).trim()))
      fault(`${text} instead of ${expected}`);
  };
  const chunk = (text: string): void => {
    const found = read(text);
    if (found === undefined) return fault(text);
    if (found.index !== seen - 1) fault(`chunk ${found.index} instead of ${seen - 1}`);
    shared.delays.push(nowUs() - found.sentUs);
    chunks += 1;
  };
  return {
    chunks: () => chunks,
    event(text) {
      const expected = fixed();
      if (seen > count + 2) fault(`more after the end: ${text}`);
      else if (expected === undefined) chunk(text);
      else compare(text, expected);
      seen += 1;
    },
    end(status) {
      if (status !== 200) fault(`status ${status}`);
      if (seen !== count + 3) fault(`ended after ${seen} events of ${count + 3}`);
      if (!faulty) shared.tally.answers += 1;
    },
  };
}

const normalised = (json: string): string => {
  try {
    const {provider: _, ...event} = JSON.parse(json) as Record<string, unknown>;
    return JSON.stringify(event);
  } catch {
    return json;
  }
};

/** Opens `count` streams, a few at a time, and returns when all have been asked for. */
export async function openStreams({port, headers}: Peer, count: number, streaming: Streaming): Promise<Streams> {
  const shared: Shared = {tally: newTally(), delays: []};
  const checks: ReturnType<typeof createStreamCheck>[] = [];
  const connections: Connection[] = [];
  const ends: Promise<void>[] = [];

  const open = async (caller: number): Promise<void> => {
    const connection = await connect(port);
    const check = createStreamCheck(caller, streaming.chunks, shared);
    checks.push(check);
    connections.push(connection);
    const request = requestOf(port, {caller, promptBytes: 1_750, headers, streaming});
    ends.push(
      new Promise((resolve) => {
        connection.ask(request, {
          part: createEvents(check.event),
          end(status) {
            check.end(status);
            connection.close();
            resolve();
          },
          failed(why) {
            countWrong(shared.tally, `stream ${caller}: ${why}`);
            resolve();
          },
        });
      }),
    );
  };
  for (let opened = 0; opened < count; opened += 50)
    await Promise.all(Array.from({length: Math.min(50, count - opened)}, (_, index) => open(opened + index)));

  return {
    tally: shared.tally,
    chunks: () => checks.reduce((sum, check) => sum + check.chunks(), 0),
    withChunks: (enough) => checks.filter((check) => check.chunks() >= enough).length,
    takeDelays() {
      const taken = shared.delays;
      shared.delays = [];
      return taken;
    },
    ended: Promise.all(ends),
    leave: () => connections.forEach((connection) => connection.close()),
  };
}
