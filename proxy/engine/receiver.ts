/** What takes an answer's body, and what an attempt can come to. */
import type {Usage} from '../wire/api.ts';
import type {Call} from './call.ts';
import type {Clock} from './clock.ts';
import type {Failure, Reply} from './failure.ts';
import type {MemoryBudget} from './memory.ts';

export type Settled =
  /** All of it has gone out, to its end. */
  | {type: 'Answered'}
  /** A whole answer that has still to go out. `usage`: of an API whose answers are counted. */
  | {type: 'Whole'; reply: Reply; usage: Usage | undefined}
  | {type: 'Failed'; failure: Failure}
  | {type: 'CallerGone'}
  /** The used connection had been closed meanwhile; ask again on a new one. */
  | {type: 'StaleConnection'};

/** Takes the body of an answer. */
export type Receiver = {
  data(chunk: Uint8Array): void;
  end(): void;
  /** The answer broke off. Returns how the attempt has failed, or undefined if it has not. */
  broken(failure: Failure): Failure | undefined;
  /** Whatever happened, nothing more comes. */
  closed(): void;
};

export type ReceiverOptions = {
  call: Call;
  clock: Clock;
  memory: MemoryBudget;
  head: Pick<Reply, 'status' | 'headers'>;
  /** The route, not the caller, chose the model name that was sent. */
  modelIsFixed: boolean;
  firstTokenMs: number;
  tokenIdleMs: number;
  keepAliveMs: number;
  /** Headers that say how the answer came about, flat. */
  provenance: () => readonly string[];
  /** The caller does not read as fast as the backend writes. */
  pause: () => void;
  resume: () => void;
  /** What was received commits to this backend. */
  contentCame: () => void;
  timedOut: (summary: string) => void;
  settle: (result: Settled) => void;
};
