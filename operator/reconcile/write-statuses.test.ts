import {beforeEach, describe, expect, it} from '@jest/globals';
import type {EventRecord} from '../../kube/events.ts';
import {modelGateway, modelRoute} from '../../test/objects.ts';
import type {Condition, ModelRoute, ModelRouteStatus} from '../api/generated.ts';
import type {StatusPlan} from '../plan/fleet.ts';
import {nameOf, nameText} from '../plan/metadata.ts';
import {arrivalMs, createStatusPace, pauseMs, settleMs} from './status-pace.ts';
import {writeStatuses} from './write-statuses.ts';

const condition = (type: string, status: Condition['status'], reason: string): Condition => ({
  type,
  status,
  reason,
  message: `${type} is ${status}`,
  lastTransitionTime: '2026-01-01T00:00:00Z',
});
const well: ModelRouteStatus = {
  conditions: [condition('Accepted', 'True', 'Accepted'), condition('Ready', 'True', 'Ready')],
};
const ill: ModelRouteStatus = {
  conditions: [condition('Accepted', 'False', 'Invalid'), condition('Ready', 'False', 'NotAccepted')],
};

describe('statuses', () => {
  let now: number;
  let written: string[];
  let events: EventRecord[];
  let refused: string[];
  let pace: ReturnType<typeof createStatusPace>;
  let changed: string[];
  const routes = (count: number): ModelRoute[] =>
    Array.from({length: count}, (_, index) => modelRoute({name: `r${index}`, uid: `uid-${index}`}));
  const planOf = (of: readonly ModelRoute[], status: ModelRouteStatus): StatusPlan => ({
    gateway: undefined,
    routes: new Map(of.map((route) => [nameText(nameOf(route)), status])),
  });
  const write = (of: readonly ModelRoute[], plan: StatusPlan) =>
    writeStatuses(
      plan,
      {gateway: undefined, routes: of},
      {
        pace,
        isCurrent: ({metadata: {name}}) => !changed.includes(name),
        recorder: {record: (event) => void events.push(event)},
        writer: {
          applyStatus: (kind, name) => {
            if (refused.includes(name.name)) return Promise.reject(new Error(`${name.name} is refused`));
            written.push(`${kind} ${name.name}`);
            return Promise.resolve(undefined);
          },
        },
      },
    );

  /** Once it was first seen that there is something to write, and its moment has passed. */
  const writeWell = async (of: readonly ModelRoute[], plan: StatusPlan) => {
    await write(of, plan);
    now += arrivalMs;
    return write(of, plan);
  };

  beforeEach(() => {
    now = 0;
    written = [];
    events = [];
    refused = [];
    changed = [];
    pace = createStatusPace({now: () => now});
  });

  it('are all written though one is refused, which is told', async () => {
    const all = routes(20);
    refused = ['r1'];
    const outcome = await writeWell(all, planOf(all, well));
    expect(written).toHaveLength(19);
    expect(String(outcome.error)).toContain('r1 is refused');
  });

  it('that may not be written yet say when they may', async () => {
    const all = routes(1);
    expect(await write(all, planOf(all, ill))).toEqual({nextMs: settleMs, error: undefined});
    now += settleMs;
    expect(await write(all, planOf(all, ill))).toEqual({nextMs: undefined, error: undefined});
    expect(written).toEqual(['ModelRoute r0']);
    expect(await write(all, planOf(all, well))).toEqual({nextMs: pauseMs, error: undefined});
  });

  it('of what has changed since they were planned are left to the reconcile that is due for it', async () => {
    const all = routes(3);
    changed = ['r1'];
    await writeWell(all, planOf(all, well));
    expect(written).toEqual(['ModelRoute r0', 'ModelRoute r2']);
    expect(events).toHaveLength(2);
  });

  it('of an object that is made anew do not wait for the one before', async () => {
    const [first] = routes(1);
    await writeWell([first!], planOf([first!], well));
    const second = modelRoute({name: 'r0', uid: 'another'});
    await writeWell([second], planOf([second], well));
    expect(written).toEqual(['ModelRoute r0', 'ModelRoute r0']);
  });

  it('that turn are told of as one Event, what is wrong first', async () => {
    const [route] = routes(1);
    await writeWell([route!], planOf([route!], well));
    expect(events.map(({type, reason, action}) => [type, reason, action])).toEqual([['Normal', 'Ready', 'Ready']]);
    const later = {...route!, status: well};
    now += 2 * pauseMs;
    await write([later], planOf([later], ill));
    now += settleMs;
    await write([later], planOf([later], ill));
    expect(events.slice(1).map(({type, reason, action}) => [type, reason, action])).toEqual([
      ['Warning', 'Invalid', 'Accepted'],
    ]);
  });

  it('of the gateway are written too', async () => {
    const gateway = modelGateway({uid: 'g'});
    const writing = {
      pace,
      isCurrent: () => true,
      recorder: {record: () => {}},
      writer: {
        applyStatus: (kind: string) => {
          written.push(kind);
          return Promise.resolve(undefined);
        },
      },
    };
    const plan = {gateway: {conditions: []}, routes: new Map()};
    await writeStatuses(plan, {gateway, routes: []}, writing);
    now += arrivalMs;
    await writeStatuses(plan, {gateway, routes: []}, writing);
    expect(written).toEqual(['ModelGateway']);
  });
});
