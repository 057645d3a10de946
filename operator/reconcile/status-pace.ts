/**
 * When a status is written: never without a change, and at most once in ten seconds per object. Good news is given the moment that nodes
 * take to send callers there; what is not well a longer one: what it lacks may be coming, and could be told of only ten seconds later.
 */
import {isDeepStrictEqual} from 'node:util';
import type {Clock} from '../../kube/clock.ts';
import {noReadyProxies, pending} from '../api/conditions.ts';
import type {Condition} from '../api/generated.ts';

type Status = {
  conditions?: readonly Pick<Condition, 'status' | 'reason'>[];
  replicas?: number;
  readyReplicas?: number;
};

export type Decision = {type: 'Same'} | {type: 'Write'} | {type: 'Wait'; ms: number};

export type StatusPace = {
  /** `key`: of this very object, with its kind. */
  decide(key: string, present: Status | undefined, wanted: Status): Decision;
  written(key: string): void;
  forget(key: string): void;
};

/** Between two writes of one object. */
export const pauseMs = 10_000;
/** A change that proxies load, a fleet that starts, a Secret that is applied after its route: done within this time, it is told of once. */
export const settleMs = 4_000;
/** The first pods of a fleet mostly start within this time: told of sooner, they would be called ready ten seconds after that only. */
export const startMs = 7_000;
/** Of kube-proxy, from a ready pod to its Service leading there: whoever waits for Ready calls at once. */
export const arrivalMs = 2_000;

const isWell = ({conditions = [], replicas = 0, readyReplicas = 0}: Status): boolean =>
  conditions.every(({status}) => status === 'True') && readyReplicas >= replicas;

/** Nothing is wrong, and nothing was said yet. */
const isStarting = (present: Status | undefined, {conditions = []}: Status): boolean =>
  present === undefined &&
  conditions.every(({status, reason}) => status === 'True' || reason === pending || reason === noReadyProxies);

const quietMs = (present: Status | undefined, wanted: Status): number => {
  if (isWell(wanted)) return arrivalMs;
  return isStarting(present, wanted) ? startMs : settleMs;
};

type Known = {writtenAt: number; differsSince: number | undefined};

export function createStatusPace(clock: Pick<Clock, 'now'>): StatusPace {
  const known = new Map<string, Known>();
  return {
    decide(key, present, wanted) {
      const now = clock.now();
      const {writtenAt, differsSince = now} = known.get(key) ?? {writtenAt: -Infinity, differsSince: now};
      if (isDeepStrictEqual(present, wanted)) {
        known.set(key, {writtenAt, differsSince: undefined});
        return {type: 'Same'};
      }
      known.set(key, {writtenAt, differsSince});
      const earliest = Math.max(writtenAt + pauseMs, differsSince + quietMs(present, wanted));
      return earliest > now ? {type: 'Wait', ms: earliest - now} : {type: 'Write'};
    },
    written(key) {
      known.set(key, {writtenAt: clock.now(), differsSince: undefined});
    },
    forget: (key) => void known.delete(key),
  };
}
