/** What keeps a reflector from its work, told when it begins, changes or ends, not with each try. */
import {KubeError} from './errors.ts';
import {quietly} from './quietly.ts';

export type Stage = 'list' | 'watch';

export type Problem = {
  failed(stage: Stage, error: unknown): void;
  /** Ends a problem of this stage or of one before it: a list that works says nothing about the watch. */
  worked(stage: Stage): void;
};

export type ProblemListener = {
  onProblem?: ((error: unknown) => void) | undefined;
  onRecovered?: (() => void) | undefined;
};

/** Messages of the network differ from try to try; a status and its reason do not. */
const nameOf = (error: unknown): string =>
  error instanceof KubeError ? `${error.status} ${error.reason}` : String(error);

export function createProblem({onProblem, onRecovered}: ProblemListener): Problem {
  let current: {stage: Stage; name: string} | undefined;
  return {
    failed(stage, error) {
      const name = nameOf(error);
      const isNew = current?.name !== name;
      current = {stage, name};
      if (isNew) quietly(() => onProblem?.(error));
    },
    worked(stage) {
      if (current === undefined || (stage === 'list' && current.stage === 'watch')) return;
      current = undefined;
      quietly(() => onRecovered?.());
    },
  };
}
