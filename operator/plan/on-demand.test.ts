import {describe, expect, it} from '@jest/globals';
import {modelGateway} from '../../test/objects.ts';
import {idlePeriodMs, lifeOf, onDemandAnnotation, type LifeInput} from './on-demand.ts';

const name = {namespace: 'team-a', name: 'models'};
const annotations = {[onDemandAnnotation]: 'true'};
const own = [{namespace: 'team-a', name: 'chat'}];
const managed = (manager: string, fieldsV1: Record<string, unknown>) => ({
  managedFields: [{manager, operation: 'Update', fieldsV1}],
});
const input = (changes: Partial<LifeInput>): LifeInput => ({
  name,
  gateway: undefined,
  routes: [],
  idleForMs: 0,
  ...changes,
});

describe('a gateway made on demand', () => {
  const cases: [string, Partial<LifeInput>, ReturnType<typeof lifeOf>][] = [
    ['comes with the first route of its namespace', {routes: own}, {type: 'Create'}],
    ['does not come without routes', {}, {type: 'Keep'}],
    ['does not come for routes of other namespaces', {routes: [{namespace: 'b', name: 'chat'}]}, {type: 'Keep'}],
    ['has one name', {name: {namespace: 'team-a', name: 'gpu'}, routes: own}, {type: 'Keep'}],
    ['is never the shared default', {routes: own, defaultGateway: name}, {type: 'Keep'}],
    [
      'stays if it has become the shared default',
      {gateway: modelGateway({annotations}), idleForMs: idlePeriodMs, defaultGateway: name},
      {type: 'Keep'},
    ],
    ['stays while it has routes', {gateway: modelGateway({annotations}), routes: own}, {type: 'Keep'}],
    [
      'stays for a while without',
      {gateway: modelGateway({annotations}), idleForMs: idlePeriodMs - 5},
      {type: 'Idle', removeInMs: 5},
    ],
    ['goes after that', {gateway: modelGateway({annotations}), idleForMs: idlePeriodMs}, {type: 'Remove'}],
    ['stays if somebody wrote it', {gateway: modelGateway({}), idleForMs: idlePeriodMs}, {type: 'Keep'}],
    [
      'stays if somebody has set a field of its spec',
      {
        gateway: modelGateway({annotations, ...managed('kubectl', {'f:spec': {'f:replicas': {}}})}),
        idleForMs: idlePeriodMs,
      },
      {type: 'Keep'},
    ],
    [
      'goes if others have only labelled it',
      {
        gateway: modelGateway({annotations, ...managed('kubectl-label', {'f:metadata': {}})}),
        idleForMs: idlePeriodMs,
      },
      {type: 'Remove'},
    ],
    [
      'goes if only we have set its spec',
      {gateway: modelGateway({annotations, ...managed('modelroute', {'f:spec': {}})}), idleForMs: idlePeriodMs},
      {type: 'Remove'},
    ],
    [
      'is not removed twice',
      {
        gateway: modelGateway({annotations, deletionTimestamp: '2026-01-01T00:00:00Z'}),
        idleForMs: idlePeriodMs,
      },
      {type: 'Keep'},
    ],
  ];
  it.each(cases)('%s', (_, changes, life) => {
    expect(lifeOf(input(changes))).toEqual(life);
  });
});
