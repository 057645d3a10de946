import {describe, expect, it} from '@jest/globals';
import type {ModelGatewaySpec} from '../../api/generated.ts';
import {minReplicasOf, replicasOf, type Replicas} from './replicas.ts';

const replicasField = {'f:spec': {'f:replicas': {}, 'f:selector': {}}};
const byOperator = {manager: 'modelroute', operation: 'Apply', fieldsV1: replicasField};
const byStatus = {
  manager: 'kube-controller-manager',
  subresource: 'status',
  fieldsV1: {'f:status': {'f:replicas': {}}},
};
const byAutoscaler = {
  manager: 'kube-controller-manager',
  subresource: 'scale',
  fieldsV1: {'f:spec': {'f:replicas': {}}},
};

const live = (replicas: number, ...managedFields: object[]): object => ({
  metadata: {name: 'models', resourceVersion: '41', managedFields},
  spec: {replicas},
});

const autoscaling = {maxReplicas: 10};

describe('the number of proxies', () => {
  const cases: Record<string, {spec?: ModelGatewaySpec; deployment?: object; expected: Replicas}> = {
    'is 2 if the gateway says nothing': {expected: {replicas: 2}},
    'is what the gateway says': {spec: {replicas: 5}, expected: {replicas: 5}},
    'may be 0': {spec: {replicas: 0}, expected: {replicas: 0}},
    'is what the gateway says, whoever changed it': {
      spec: {replicas: 5},
      deployment: live(9, byAutoscaler),
      expected: {replicas: 5},
    },
    'begins at the least with autoscaling': {
      spec: {replicas: 5, autoscaling: {minReplicas: 3, maxReplicas: 10}},
      expected: {replicas: 3},
    },
    'stays when autoscaling begins, and must not have changed meanwhile': {
      spec: {replicas: 2, autoscaling},
      deployment: live(7, byOperator, byStatus),
      expected: {replicas: 7, resourceVersion: '41'},
    },
    'stays when autoscaling begins with a Deployment that nobody claims': {
      spec: {autoscaling},
      deployment: {metadata: {resourceVersion: '41'}, spec: {replicas: 7}},
      expected: {replicas: 7, resourceVersion: '41'},
    },
    'does not stay at 0, from where no autoscaler starts': {
      spec: {autoscaling},
      deployment: live(0, byOperator),
      expected: {replicas: 2, resourceVersion: '41'},
    },
    "is the autoscaler's once it has set it": {
      spec: {autoscaling},
      deployment: live(7, byOperator, byAutoscaler),
      expected: {},
    },
    'is that of whoever else has set it': {
      spec: {autoscaling},
      deployment: live(0, {manager: 'kubectl-edit', operation: 'Update', fieldsV1: replicasField}),
      expected: {},
    },
    'is not that of who set other fields': {
      spec: {autoscaling},
      deployment: live(7, byOperator, {manager: 'kubectl', fieldsV1: {'f:metadata': {'f:labels': {}}}}, {manager: 'x'}),
      expected: {replicas: 7, resourceVersion: '41'},
    },
  };
  it.each(Object.entries(cases))('%s', (_, {spec = {}, deployment, expected}) => {
    expect(replicasOf(spec, deployment)).toEqual(expected);
  });
});

it.each([
  [{maxReplicas: 10}, 2],
  [{maxReplicas: 1}, 1],
  [{minReplicas: 4, maxReplicas: 10}, 4],
])('the fewest of %o are %i', (autoscaling, expected) => {
  expect(minReplicasOf(autoscaling)).toBe(expected);
});
