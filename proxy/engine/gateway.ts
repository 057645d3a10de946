/** The one reference to the current config's live side, replaced whole, and the requests that run. */
import {retire, buildLive, type LiveContext, type LiveGateway, type LiveInput} from './live.ts';
import {interrupt, type Call} from './call.ts';
import {ask} from './ask.ts';
import {dispatch, type WholeAnswer} from './dispatch.ts';
import {createRoster} from './roster.ts';
import type {ModelMatch} from '../routing/match.ts';
import type {LiveRoute} from './live.ts';
import type {Attempt} from './loan.ts';
import type {Engine} from './trip.ts';

/** A config that was refused, while the one before stayed in use. */
export type Rejection = {
  /** SHA-256 in hex; '' if what came cannot be read at all. */
  hash: string;
  reason: string;
};

export type Gateway = {
  /** Undefined until the first config. */
  readonly live: LiveGateway | undefined;
  /** SHA-256 in hex of the config in use, as it was read; '' if there is none. */
  readonly hash: string;
  /** Validated input only: this either replaces all or throws and changes nothing. */
  update(input: LiveInput, hash: string): void;
  reject(rejection: Rejection): void;
  /** The last config, if it was refused. */
  readonly rejected: Rejection | undefined;
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
  let rejected: Rejection | undefined;
  let isClosed = false;
  const running = createRoster<Call>();
  const latest = (): LiveGateway | undefined => live;
  return {
    get live() {
      return live;
    },
    get hash() {
      return hash;
    },
    update(input, nextHash) {
      if (isClosed) return;
      const previous = live;
      live = buildLive(input, previous, context);
      hash = nextHash;
      if (input.config !== previous?.config) rejected = undefined;
      if (previous !== undefined) retire(previous, live);
    },
    reject(rejection) {
      rejected = rejection;
    },
    get rejected() {
      return rejected;
    },
    carry: (call, match, attempt = ask) => dispatch({engine, running, latest, call, match, attempt}),
    get running() {
      return running.members.length;
    },
    shutDown() {
      for (const call of Array.from(running.members)) interrupt(call, 'ShuttingDown'); // they leave meanwhile
    },
    close() {
      isClosed = true;
      if (live !== undefined) retire(live, undefined);
    },
  };
}
