/** What is wrong with the API server, told once for all that is watched there, and again when it is over. */
import {KubeError} from '../../kube/errors.ts';
import type {ReflectorOptions} from '../../kube/reflector.ts';
import type {KubeObject} from '../../kube/objects.ts';
import type {Log} from './log.ts';

type Listeners = Required<Pick<ReflectorOptions<KubeObject>, 'onProblem' | 'onRecovered' | 'onUnreadable'>>;

export type WatchTrouble = {
  listeners: Listeners;
  /** It is watched no more: what was wrong with it counts no more. */
  stopped: () => void;
};

export type ApiTrouble = {
  /** For a watch of its own; `what` names it in the log. */
  of(what: string): WatchTrouble;
};

/** The API server has heard us and says no; whether it is away is another matter. */
export const isRefusal = (error: unknown): error is KubeError =>
  error instanceof KubeError && error.status >= 400 && error.status < 500 && error.status !== 429;

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

type Watch = {what: string};

export function createApiTrouble(log: Log): ApiTrouble {
  const unanswered = new Set<Watch>();
  const refused = new Set<Watch>();

  /** To one watch, so the others are only to try again: a quiet one hears nothing for a minute. */
  const answered = (watch: Watch): void => {
    if (!unanswered.has(watch)) return;
    unanswered.clear();
    log.info('API server answers again');
  };
  return {
    of(what) {
      const watch = {what};
      return {
        listeners: {
          onProblem(error) {
            if (isRefusal(error)) {
              answered(watch);
              refused.add(watch);
              log.warn('API server refuses, what was known last stays in use', {what, error: textOf(error)});
              return;
            }
            if (unanswered.size === 0)
              log.warn('API server does not answer, what was known last stays in use', {error: textOf(error)});
            unanswered.add(watch);
          },
          onRecovered() {
            answered(watch);
            if (refused.delete(watch)) log.info('API server allows again', {what});
          },
          onUnreadable: (why) => log.warn('API server sent what cannot be read', {what, why}),
        },
        stopped() {
          unanswered.delete(watch);
          refused.delete(watch);
        },
      };
    },
  };
}
