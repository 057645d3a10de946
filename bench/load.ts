/** Callers in a closed loop: each asks again as soon as its answer is whole, and every answer is compared byte by byte. */
import {nowUs} from './clock.ts';
import {connect, type Connection} from './connection.ts';
import {answerOf, requestOf} from './payload.ts';

export type Tally = {
  answers: number;
  /** The same JSON, but not the same bytes. */
  rewritten: number;
  /** Another status, another body, none. */
  wrong: number;
  firstWrong: string | undefined;
};

export type Peer = {port: number; /** Header lines that this peer wants. */ headers: string};

/** On the clock of `nowUs`. */
export type Time = {askedUs: number; tookUs: number};

export type Load = {
  tally: Tally;
  /** Answers since the last call. */
  takeTimes(): Time[];
  stop(): Promise<void>;
};

/** After so many the peer is not what the benchmark is for. */
const tooManyWrong = 200;

/** So long the last answers may take. */
const unansweredAfterMs = 5_000;

export const newTally = (): Tally => ({answers: 0, rewritten: 0, wrong: 0, firstWrong: undefined});

export function countWrong(tally: Tally, why: string): void {
  tally.wrong += 1;
  tally.firstWrong ??= why.slice(0, 200);
}

export const sameJson = (text: string, expected: string): boolean => {
  try {
    const {provider: _, ...answer} = JSON.parse(text) as Record<string, unknown>; // Portkey names its provider in the body
    return JSON.stringify(answer) === expected;
  } catch {
    return false;
  }
};

/** Collects one answer and compares it. */
function createCheck(caller: number): {part: (bytes: Buffer) => void; judge: (status: number, tally: Tally) => void} {
  const text = answerOf(String(caller).padStart(4, '0'));
  const expected = Buffer.from(text);
  let body: Buffer | undefined;
  const add = (bytes: Buffer): Buffer => {
    if (body !== undefined) return Buffer.concat([body, bytes]);
    return bytes.equals(expected) ? expected : Buffer.from(bytes);
  };
  return {
    part(bytes) {
      body = add(bytes);
    },
    judge(status, tally) {
      const exact = body === expected || body?.equals(expected) === true;
      if (status === 200 && (exact || sameJson(String(body), text))) {
        tally.answers += 1;
        if (!exact) tally.rewritten += 1;
      } else countWrong(tally, `status ${status}: ${String(body)}`);
      body = undefined;
    },
  };
}

/** `connections` callers with a prompt of `promptBytes`. */
export function startLoad({port, headers}: Peer, what: {connections: number; promptBytes: number}): Load {
  const tally = newTally();
  let times: Time[] = [];
  const state = {stopped: false};
  const open = new Set<Connection>();
  const giveUp = Promise.withResolvers<void>();
  const goesOn = (): boolean => !state.stopped && tally.wrong < tooManyWrong;

  /** Asks again and again on one connection; ends when stopped, or when the connection is of no more use. */
  const askOn = (connection: Connection, caller: number): Promise<void> =>
    new Promise((resolve) => {
      const request = requestOf(port, {caller, promptBytes: what.promptBytes, headers});
      const check = createCheck(caller);
      let askedUs = 0;
      const ask = (): void => {
        askedUs = nowUs();
        connection.ask(request, {
          part: check.part,
          end(status) {
            times.push({askedUs, tookUs: nowUs() - askedUs});
            check.judge(status, tally);
            if (goesOn()) ask();
            else resolve();
          },
          failed(why) {
            countWrong(tally, why);
            resolve();
          },
        });
      };
      ask();
    });
  const run = async (caller: number): Promise<void> => {
    while (goesOn()) {
      try {
        const connection = await connect(port);
        open.add(connection);
        await askOn(connection, caller);
        connection.close();
        open.delete(connection);
      } catch (error) {
        countWrong(tally, String(error));
      }
    }
  };
  const callers = Array.from({length: what.connections}, (_, caller) => run(caller));
  return {
    tally,
    takeTimes() {
      const taken = times;
      times = [];
      return taken;
    },
    async stop() {
      state.stopped = true;
      const limit = setTimeout(() => giveUp.resolve(), unansweredAfterMs);
      await Promise.race([Promise.all(callers), giveUp.promise]);
      clearTimeout(limit);
      for (const connection of open) {
        countWrong(tally, `no answer within ${unansweredAfterMs} ms`);
        connection.close();
      }
    },
  };
}
