import {expect, it} from '@jest/globals';
import {topologyOf} from './topology.ts';

const gateway = {namespace: 'team-a', name: 'models'};
const selector = {matchLabels: {'app.kubernetes.io/name': 'modelroute-proxy', 'app.kubernetes.io/instance': 'models'}};
const over = (topologyKey: string): object => ({
  maxSkew: 1,
  topologyKey,
  whenUnsatisfiable: 'ScheduleAnyway',
  labelSelector: selector,
  matchLabelKeys: ['pod-template-hash'],
});
const byZone = {
  topologySpreadConstraints: [over('topology.kubernetes.io/zone')],
  affinity: {
    podAntiAffinity: {
      preferredDuringSchedulingIgnoredDuringExecution: [
        {weight: 100, podAffinityTerm: {topologyKey: 'kubernetes.io/hostname', labelSelector: selector}},
      ],
    },
  },
};

it.each([
  ['over zones, and apart by node', undefined, byZone],
  ['over zones if it says so', 'Zone', byZone],
  ['over nodes', 'Node', {topologySpreadConstraints: [over('kubernetes.io/hostname')]}],
  ['nowhere in particular', 'None', {}],
] as const)('pods are spread %s', (_, spread, expected) => {
  expect(topologyOf(spread, gateway)).toEqual(expected);
});
