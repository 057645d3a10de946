import {beforeEach, describe, expect, it} from '@jest/globals';
import type {EventRecord} from '../../kube/events.ts';
import {modelGateway} from '../../test/objects.ts';
import {createStores} from '../../test/operator/stores.ts';
import type {Applier, ApplyOutcome, Change} from '../cluster/apply.ts';
import {createGather} from '../cluster/gather.ts';
import {plan} from '../plan/plan.ts';
import {createFleetBuilder, type FleetBuilder} from './fleet-builder.ts';

const name = {namespace: 'team-a', name: 'models'};
const gateway = modelGateway({...name, uid: 'gateway-1'});
const nothing: ApplyOutcome = {changes: [], contested: [], elsewhere: [], isStale: false, againAfterMs: Infinity};
const change = (action: Change['action'], kind: string): Change => ({action, why: 'of its reason', kind, ...name});

describe('what became of a fleet', () => {
  let outcome: ApplyOutcome;
  let events: EventRecord[];
  let lines: {level: string; message: string; [field: string]: unknown}[];
  let builder: FleetBuilder;

  beforeEach(() => {
    [outcome, events, lines] = [nothing, [], []];
    const write =
      (level: string) =>
      (message: string, fields: object = {}): void =>
        void lines.push({level, message, ...fields});
    const applier: Applier = {
      apply: () => Promise.resolve(outcome),
      remove: () => Promise.resolve(nothing),
      forget: () => {},
    };
    builder = createFleetBuilder({
      writer: {find: () => Promise.resolve(undefined)},
      applier,
      poller: {watch: () => {}, forget: () => {}, reports: () => [], stop: () => {}},
      recorder: {record: (event) => void events.push(event)},
      log: {error: write('error'), warn: write('warn'), info: write('info'), debug: write('debug')},
      clock: {now: () => 0},
      proxyImage: 'modelroute:test',
      imagePullPolicy: 'IfNotPresent',
    });
  });

  const build = () => {
    const found = {...createGather(createStores().caches, {})(name), gateway};
    return builder.build(found, gateway, plan(found.world), false);
  };
  const said = (): string[] => events.map(({type, reason, message}) => `${type} ${reason} ${message}`);

  it('is told of in an Event and a line for each change, with its why', async () => {
    outcome = {...nothing, changes: [change('Created', 'Role'), change('Updated', 'Deployment')]};
    await build();
    expect(said()).toEqual([
      'Normal Created Role team-a/models: of its reason',
      'Normal Updated Deployment team-a/models: of its reason',
    ]);
    expect(events[0]?.object).toMatchObject({kind: 'ModelGateway', ...name, uid: 'gateway-1'});
    expect(lines).toEqual([
      {level: 'info', message: 'child created', kind: 'Role', ...name, why: 'of its reason'},
      {level: 'info', message: 'child updated', kind: 'Deployment', ...name, why: 'of its reason'},
    ]);
  });

  it.each(['ConfigMap', 'Secret'])(
    'is no Event when a route updates the %s, but one when it is restored',
    async (kind) => {
      outcome = {...nothing, changes: [change('Updated', kind)]};
      await build();
      expect(said()).toEqual([]);
      outcome = {...nothing, changes: [change('Restored', kind)]};
      await build();
      expect(said()).toEqual([`Normal Restored ${kind} team-a/models: of its reason`]);
      expect(lines.map(({message}) => message)).toEqual(['child updated', 'child restored']);
    },
  );

  it('is a warning when somebody else keeps changing one, and comes back when that one is due', async () => {
    outcome = {...nothing, contested: [{kind: 'Deployment', ...name}], againAfterMs: 10_000};
    const built = await build();
    expect(said()).toEqual([
      'Warning Contested somebody else keeps changing Deployment team-a/models: it is put right ever later, until they stop',
    ]);
    expect(lines).toEqual([
      {
        level: 'warn',
        message: 'somebody else keeps changing a child',
        gateway: 'team-a/models',
        kind: 'Deployment',
        ...name,
      },
    ]);
    expect(built.outcome.againAfterMs).toBe(10_000);
  });
});
