/**
 * The circuit breaker of one backend of a route: opossum's window and states, fed with verdicts. opossum is made for short calls, so
 * - it is fired when an attempt *ends*, with its verdict: start and failure of a long stream then fall into the same window;
 * - it is never fired while open, nor with an attempt that began before its state last changed, nor for a caller's own error;
 * - each closing starts with an empty window, so that old failures do not open it again at once;
 * - it is built anew for other thresholds, since it reads some of them only then, and takes window, state and the rest of its open time along.
 */
import CircuitBreaker from 'opossum';
import type {CircuitBreakerConfig} from '../config/schema.ts';
import type {Clock} from './clock.ts';

export type BreakerState = 'Closed' | 'HalfOpen' | 'Open';

export type Outcome = 'Success' | 'Failure' | 'NoVerdict';

/** One admitted attempt. */
export type Ticket = {
  /** Its first content came: closes a half-open breaker, but the attempt may still fail. */
  contentCame(): void;
  /** Once. */
  finish(outcome: Outcome): void;
};

export type Breaker = {
  readonly state: BreakerState;
  /** Milliseconds until an open breaker lets a probe through; 0 if it is not open. */
  opensAgainInMs(now: number): number;
  admits(now: number): boolean;
  admit(now: number): Ticket;
  /** Other thresholds; the state stays. */
  setPolicy(policy: CircuitBreakerConfig): void;
  /** For good: who still has it is let through, and what becomes of that is not counted. */
  retire(): void;
};

type Circuit = CircuitBreaker<[failed: boolean], void>;

/** Identity is all that counts. */
type Probe = {readonly beganAt: number};

const failure = new Error('the attempt failed');

/** opossum opens above its threshold; `failurePercent` is reached at it. */
const justBelow = 1e-6;

const withoutStatistics = {rollingPercentilesEnabled: false, enableSnapshots: false};

const toOptions = (policy: CircuitBreakerConfig, state: BreakerState): CircuitBreaker.Options<[boolean]> => ({
  timeout: false,
  errorThresholdPercentage: policy.failurePercent - justBelow,
  volumeThreshold: policy.minRequests,
  rollingCountTimeout: policy.windowMs,
  ...withoutStatistics,
  ...(state === 'Closed' ? {} : {state: {closed: false, halfOpen: state === 'HalfOpen'}}),
});

export function createBreaker(
  initial: CircuitBreakerConfig,
  clock: Clock,
  changed: (state: BreakerState) => void,
): Breaker {
  let policy = initial;
  let openings = 0; // since an answer last completed: each doubles the open time
  let consecutiveFailures = 0;
  let probe: Probe | undefined;
  let openUntil = -Infinity;
  let epoch = 0;
  let retired = false;
  let options: CircuitBreaker.Options<[boolean]>;
  let circuit: Circuit;

  const nextOpenMs = (): number => Math.min(policy.openDurationMs * 2 ** openings, policy.maxOpenDurationMs);

  const setOpenings = (count: number): void => {
    openings = count;
    options.resetTimeout = nextOpenMs(); // opossum reads it at each opening
  };
  const enter = (state: BreakerState): void => {
    epoch += 1;
    consecutiveFailures = 0;
    probe = undefined;
    changed(state);
  };
  const build = (state: BreakerState, window?: CircuitBreaker.Stats): void => {
    options = toOptions(policy, state);
    if (window !== undefined) {
      const {rollingCountTimeout} = options;
      options.status = CircuitBreaker.newStatus({rollingCountTimeout, ...withoutStatistics, stats: window});
    }
    options.resetTimeout = Math.max(0, openUntil - clock.now()); // one that is built open starts its timer at once
    circuit = new CircuitBreaker(async (failed: boolean) => (failed ? Promise.reject(failure) : undefined), options);
    options.resetTimeout = nextOpenMs();
    circuit.on('open', () => {
      openUntil = clock.now() + nextOpenMs();
      setOpenings(openings + 1);
      enter('Open');
    });
    circuit.on('halfOpen', () => enter('HalfOpen'));
    circuit.on('close', () => {
      circuit.shutdown();
      build('Closed');
      enter('Closed');
    });
  };
  /** The verdict on an attempt of the present epoch, with the breaker closed. */
  const record = (failed: boolean): void => {
    circuit.fire(failed).catch(() => {}); // the rejection is our own verdict come back
    if (!failed) {
      consecutiveFailures = 0;
      setOpenings(0);
      return;
    }
    consecutiveFailures += 1;
    if (consecutiveFailures >= policy.consecutiveFailures) circuit.open();
  };

  build('Closed');

  return {
    get state() {
      if (circuit.opened) return 'Open';
      return circuit.halfOpen ? 'HalfOpen' : 'Closed';
    },
    opensAgainInMs: (now) => (circuit.opened ? Math.max(0, openUntil - now) : 0),
    admits(now) {
      if (circuit.closed || retired) return true;
      return circuit.halfOpen && (probe === undefined || now - probe.beganAt >= policy.openDurationMs);
    },
    admit(now) {
      const own: Probe = {beganAt: now};
      if (circuit.halfOpen) probe = own;
      let began = epoch;
      const isProbe = !circuit.closed; // a half-open breaker's, or one sent in spite of an open one
      let closedIt = false;
      const isOver = (): boolean => retired || began !== epoch;
      return {
        contentCame() {
          if (!isProbe || isOver() || circuit.closed) return;
          circuit.close();
          began = epoch;
          closedIt = true;
        },
        finish(outcome) {
          if (isOver()) return;
          if (circuit.closed) {
            if (closedIt && outcome === 'Failure') circuit.open();
            else if (outcome !== 'NoVerdict') record(outcome === 'Failure');
          } else if (outcome === 'NoVerdict') {
            if (probe === own) probe = undefined;
          } else if (outcome === 'Success') {
            openings = 0;
            circuit.close();
          } else if (circuit.halfOpen) circuit.open();
        },
      };
    },
    setPolicy(next) {
      if (JSON.stringify(next) === JSON.stringify(policy)) return;
      policy = next;
      const {state} = this;
      const {stats} = circuit;
      circuit.shutdown();
      build(state, stats);
    },
    retire() {
      retired = true;
      circuit.shutdown();
    },
  };
}
