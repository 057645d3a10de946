/** Responses that can be asked for again, continued and cancelled: /v1/responses/{id}. */
import {refuse, type Outcome} from './errors.ts';
import {plainAnswer} from './reply.ts';
import {unfinished, type ResponseObject} from './response-object.ts';

export type ResponseStore = {
  keep: (response: ResponseObject, about: {durationMs: number; said: string}) => void;
  /** Prompt and answer of a response that was kept: what the next one continues. */
  said: (id: string) => string | undefined;
  /** `GET` and `DELETE /v1/responses/{id}`, `POST /v1/responses/{id}/cancel`. */
  retrieve: (id: string) => Outcome;
  remove: (id: string) => Outcome;
  cancel: (id: string) => Outcome;
};

type Kept = {response: ResponseObject; doneAtMs: number; said: string};

const mostResponses = 1000;

const notFound = (id: string): Outcome => refuse(404, {message: `Response with id '${id}' not found.`});

/** `now`: milliseconds; what runs in the background is finished when its time has passed. */
export const createResponseStore = (now: () => number): ResponseStore => {
  const kept = new Map<string, Kept>();

  const asItIs = ({response, doneAtMs}: Kept): ResponseObject =>
    response.background === true && response.status !== 'cancelled' && now() < doneAtMs
      ? unfinished(response, 'in_progress')
      : response;

  return {
    keep: (response, {durationMs, said}) => {
      kept.set(response.id, {response, said, doneAtMs: now() + durationMs});
      for (const oldest of kept.keys()) {
        if (kept.size <= mostResponses) break;
        kept.delete(oldest);
      }
    },
    said: (id) => kept.get(id)?.said,
    retrieve: (id) => {
      const found = kept.get(id);
      return found === undefined ? notFound(id) : plainAnswer(200, asItIs(found));
    },
    remove: (id) => (kept.delete(id) ? plainAnswer(200, {id, object: 'response', deleted: true}) : notFound(id)),
    cancel: (id) => {
      const found = kept.get(id);
      if (found === undefined) return notFound(id);
      if (found.response.background !== true) return refuse(400, {message: 'Cannot cancel a synchronous response.'});
      const current = asItIs(found);
      if (current.status === 'in_progress') found.response = unfinished(current, 'cancelled');
      return plainAnswer(200, asItIs(found));
    },
  };
};
