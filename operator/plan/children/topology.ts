/** What the proxies of one Deployment are spread over, as far as there is room. */
import type {GatewayPod} from '../../api/generated.ts';
import {podSelector} from '../labels.ts';
import type {ObjectName} from '../world.ts';

const zone = 'topology.kubernetes.io/zone';
const node = 'kubernetes.io/hostname';

const spreadOver = (topologyKey: string, gateway: ObjectName): object => ({
  maxSkew: 1,
  topologyKey,
  whenUnsatisfiable: 'ScheduleAnyway',
  labelSelector: {matchLabels: podSelector(gateway)},
  matchLabelKeys: ['pod-template-hash'], // the pods of the version before are going
});

/**
 * Two proxies of a zone should not share a node either. This is said as an affinity: the scheduler counts a node without a zone label for
 * none of a pod's spread constraints, so a second one would do nothing in a cluster without zones.
 */
const apartByNode = (gateway: ObjectName): object => ({
  podAntiAffinity: {
    preferredDuringSchedulingIgnoredDuringExecution: [
      {weight: 100, podAffinityTerm: {topologyKey: node, labelSelector: {matchLabels: podSelector(gateway)}}},
    ],
  },
});

export const topologyOf = (spread: GatewayPod['topologySpread'] = 'Zone', gateway: ObjectName): object => {
  if (spread === 'None') return {};
  if (spread === 'Node') return {topologySpreadConstraints: [spreadOver(node, gateway)]};
  return {topologySpreadConstraints: [spreadOver(zone, gateway)], affinity: apartByNode(gateway)};
};
