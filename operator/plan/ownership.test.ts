import {describe, expect, it} from '@jest/globals';
import {modelGateway} from '../../test/objects.ts';
import {planChildren} from './children/children.ts';
import type {Child} from './fleet.ts';
import {leftOvers, ownershipOf, type Existing, type Ownership} from './ownership.ts';

const desired = (uid = 'uid-1', servedNamespaces = ['team-b'], maxReplicas?: number): Child[] =>
  planChildren({
    gateway: modelGateway({uid}, {...(maxReplicas !== undefined && {autoscaling: {maxReplicas}})}),
    servedNamespaces,
    proxyImage: 'example.com/modelroute:1',
    imagePullPolicy: 'IfNotPresent',
    currentDeployment: undefined,
  });

const childAt = (kind: string, namespace: string): Child => {
  const child = desired().find(({kind: other, metadata}) => other === kind && metadata.namespace === namespace);
  if (child === undefined) throw new Error(`no ${kind} in ${namespace}`);
  return child;
};

const beside = childAt('Service', 'team-a');
const far = childAt('Role', 'team-b');
const [owner] = beside.metadata.ownerReferences ?? [];
if (owner === undefined) throw new Error('a child without owner');
const deletionTimestamp = '2026-01-01T00:00:00Z';

const like = ({metadata}: Child, changes: Partial<Existing['metadata']> = {}): Existing => ({
  metadata: {...metadata, ...changes},
});

describe('an object with the name of a child', () => {
  const cases: Record<string, {existing: Existing; child?: Child; ownership: Ownership}> = {
    'is ours by its controller': {existing: like(beside), ownership: 'Ours'},
    'is ours without its labels': {existing: like(beside, {labels: {}}), ownership: 'Ours'},
    'is ours beside other owners': {
      existing: like(beside, {ownerReferences: [{...owner, uid: 'uid-9', controller: false}, owner]}),
      ownership: 'Ours',
    },
    'is ours by an owner reference of another version': {
      existing: like(beside, {ownerReferences: [{...owner, apiVersion: 'modelroute.dev/v1'}]}),
      ownership: 'Ours',
    },
    'is going if it is being deleted': {existing: like(beside, {deletionTimestamp}), ownership: 'GoingAway'},
    'is going if it was that of an earlier gateway of the name': {
      existing: like(beside, {ownerReferences: [{...owner, uid: 'uid-0'}]}),
      ownership: 'GoingAway',
    },
    "is a stranger's if it has no owner, whatever its labels": {
      existing: {metadata: {name: 'models', namespace: 'team-a', labels: beside.metadata.labels}},
      ownership: 'Strangers',
    },
    "is a stranger's if we own it but do not control it": {
      existing: like(beside, {ownerReferences: [{...owner, controller: false}]}),
      ownership: 'Strangers',
    },
    "is a stranger's if another gateway controls it": {
      existing: like(beside, {ownerReferences: [{...owner, name: 'other'}]}),
      ownership: 'Strangers',
    },
    "is a stranger's if another kind of the same name controls it": {
      existing: like(beside, {ownerReferences: [{...owner, kind: 'ModelRoute'}]}),
      ownership: 'Strangers',
    },
    "is a stranger's if a kind of the same name in another group controls it": {
      existing: like(beside, {ownerReferences: [{...owner, apiVersion: 'example.com/v1alpha1'}]}),
      ownership: 'Strangers',
    },
    "is a stranger's, be it being deleted": {
      existing: {metadata: {name: 'models', deletionTimestamp}},
      ownership: 'Strangers',
    },
    'is ours in another namespace by its labels': {existing: like(far), child: far, ownership: 'Ours'},
    'is ours in another namespace with further labels': {
      existing: like(far, {labels: {...far.metadata.labels, team: 'b', 'app.kubernetes.io/name': 'x'}}),
      child: far,
      ownership: 'Ours',
    },
    'is going in another namespace if it is being deleted': {
      existing: like(far, {deletionTimestamp}),
      child: far,
      ownership: 'GoingAway',
    },
    "is a stranger's in another namespace without labels": {
      existing: {metadata: {name: far.metadata.name, namespace: 'team-b'}},
      child: far,
      ownership: 'Strangers',
    },
    ...Object.fromEntries(
      ['app.kubernetes.io/managed-by', 'modelroute.dev/gateway', 'modelroute.dev/gateway-namespace'].map((label) => [
        `is a stranger's in another namespace if ${label} says another`,
        {
          existing: like(far, {labels: {...far.metadata.labels, [label]: 'other'}}),
          child: far,
          ownership: 'Strangers' as const,
        },
      ]),
    ),
  };
  it.each(Object.entries(cases))('%s', (_, {existing, child = beside, ownership}) => {
    expect(ownershipOf(existing, child)).toBe(ownership);
  });
});

describe('what is left over', () => {
  const gateway = {namespace: 'team-a', name: 'models', uid: 'uid-1'};
  const found = (...args: Parameters<typeof desired>): Existing[] => desired(...args).map((child) => ({...child}));
  const texts = (objects: Existing[]): string[] =>
    objects.map(({kind, metadata: {namespace, name}}) => `${kind} ${namespace}/${name}`);
  const farOf = (namespace: string): string[] => [
    `Role ${namespace}/modelroute:team-a:models`,
    `RoleBinding ${namespace}/modelroute:team-a:models`,
  ];

  const cases: Record<string, {existing: Existing[]; desired: Child[]; isGone?: true; expected: string[]}> = {
    'is nothing while all is wanted': {existing: found(), desired: desired(), expected: []},
    'is the autoscaler that is asked for no more': {
      existing: found('uid-1', [], 3),
      desired: desired('uid-1', []),
      expected: ['HorizontalPodAutoscaler team-a/models'],
    },
    'is what is in namespaces without routes': {
      existing: found('uid-1', ['team-b', 'team-c']),
      desired: desired('uid-1', ['team-c']),
      expected: farOf('team-b'),
    },
    'is all in other namespaces when the gateway is gone, the rest is collected': {
      existing: found('uid-1', ['team-b', 'team-c']),
      desired: [],
      isGone: true,
      expected: [...farOf('team-b'), ...farOf('team-c')],
    },
    'is not what an earlier gateway of the name left beside it': {
      existing: found('uid-0', [], 3),
      desired: desired('uid-1', []),
      expected: [],
    },
    'is never the config, nor the credentials': {
      existing: [
        {kind: 'ConfigMap', ...like(beside, {name: 'models-config'})},
        {kind: 'Secret', ...like(beside, {name: 'models-credentials'})},
      ],
      desired: desired(),
      expected: [],
    },
    'is not what only has the labels': {
      existing: [
        {kind: 'Service', metadata: {name: 'mine', namespace: 'team-a', labels: beside.metadata.labels}},
        {kind: 'Role', ...like(far, {namespace: 'team-c', name: 'mine'})},
        {kind: 'Secret', ...like(far, {namespace: 'team-c'})},
      ],
      desired: desired(),
      expected: [],
    },
    'is not what lost the labels': {
      existing: [{kind: 'Role', ...like(far, {namespace: 'team-c', labels: {}})}],
      desired: desired(),
      expected: [],
    },
    'is not what is going already': {
      existing: [{kind: 'Role', ...like(far, {namespace: 'team-c', deletionTimestamp})}],
      desired: desired(),
      expected: [],
    },
  };
  it.each(Object.entries(cases))('%s', (_, {existing, desired, isGone, expected}) => {
    const {namespace, name} = gateway;
    const input = isGone === true ? {namespace, name} : gateway;
    expect(texts(leftOvers({existing, desired, gateway: input}))).toEqual(expected);
  });
});
