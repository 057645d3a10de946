/** What takes an answer's body, and what an attempt can come to. */
import type {Usage} from '../wire/api.ts';
import type {Failure, Reply} from './failure.ts';

export type Settled =
  /** A stream that has gone out, to its end. */
  | {type: 'Answered'}
  /** A whole answer that has still to go out. */
  | {type: 'Whole'; reply: Reply; usage: Usage}
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
