/** What the simulator was told to do, and whose turn it is. */
import {normalBehaviour, parseBehaviour, type Behaviour, type BehaviourInput} from './behaviour.ts';
import type {RecordedRequest} from './requests.ts';

/** In the same process a behaviour can also depend on the request; undefined: answer properly. */
export type BehaviourSource = BehaviourInput | ((request: RecordedRequest) => BehaviourInput | undefined);

export type Instructions = {
  /** With `times` it waits its turn behind others with `times`; without, it is what holds once those are used up. */
  behave: (behaviour: BehaviourSource, times: number | undefined) => void;
  /** Takes the next behaviour for a request. */
  next: (request: RecordedRequest) => Behaviour;
  clear: () => void;
  /** For the control endpoint. */
  describe: () => {always: unknown; next: {behaviour: unknown; times: number}[]};
};

export const createInstructions = (): Instructions => {
  let always: BehaviourSource = normalBehaviour;
  let counted: {behaviour: BehaviourSource; times: number}[] = [];

  const described = (behaviour: BehaviourSource): unknown =>
    typeof behaviour === 'function' ? 'a function of the test' : behaviour;

  return {
    behave: (behaviour, times) => {
      const checked = typeof behaviour === 'function' ? behaviour : parseBehaviour(behaviour);
      if (times === undefined) always = checked;
      else counted.push({behaviour: checked, times});
    },
    next: (request) => {
      const first = counted[0];
      if (first !== undefined) {
        first.times -= 1;
        if (first.times <= 0) counted.shift();
      }
      const behaviour = first?.behaviour ?? always;
      return parseBehaviour(typeof behaviour === 'function' ? (behaviour(request) ?? normalBehaviour) : behaviour);
    },
    clear: () => {
      always = normalBehaviour;
      counted = [];
    },
    describe: () => ({
      always: described(always),
      next: counted.map(({behaviour, times}) => ({behaviour: described(behaviour), times})),
    }),
  };
};
