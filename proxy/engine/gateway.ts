/** The one reference to the current config's live side, replaced whole, and the requests that run. */
import {createHash} from 'node:crypto';
import {retire, buildLive, type LiveContext, type LiveGateway, type LiveInput} from './live.ts';
import {interrupt, type Call} from './call.ts';
import {ask} from './ask.ts';
import {dispatch, type WholeAnswer} from './dispatch.ts';
import {createRoster} from './roster.ts';
import type {ModelMatch} from '../routing/match.ts';
import type {LiveRoute} from './live.ts';
import type {Attempt} from './loan.ts';
import type {Engine} from './trip.ts';

export type Gateway = {
  /** Undefined until the first config. */
  readonly live: LiveGateway | undefined;
  /** SHA-256 of the config in use. */
  readonly hash: string;
  /** Validated input only: this either replaces all or throws and changes nothing. */
  update(input: LiveInput): void;
  /** `attempt`: how it is sent, in JSON unless given. */
  carry(call: Call, match: ModelMatch<LiveRoute>, attempt?: Attempt): Promise<WholeAnswer | undefined>;
  readonly running: number;
  /** Ends every running request with an error. */
  shutDown(): void;
  close(): void;
};

export function createGateway(engine: Engine, context: LiveContext): Gateway {
  let live: LiveGateway | undefined;
  let hash = '';
  const running = createRoster<Call>();
  return {
    get live() {
      return live;
    },
    get hash() {
      return hash;
    },
    update(input) {
      const previous = live;
      live = buildLive(input, previous, context);
      hash = createHash('sha256').update(JSON.stringify(input.config)).digest('hex');
      if (previous !== undefined) retire(previous, live);
    },
    carry: (call, match, attempt = ask) => dispatch({engine, running, call, match, attempt}),
    get running() {
      return running.members.length;
    },
    shutDown() {
      for (const call of Array.from(running.members)) interrupt(call, 'ShuttingDown'); // they leave meanwhile
    },
    close() {
      if (live !== undefined) retire(live, undefined);
    },
  };
}
