import type {ModelGateway} from '../../api/generated.ts';
import type {Child} from '../fleet.ts';
import {childMetadata} from './child-metadata.ts';
import {minReplicasOf} from './replicas.ts';

/** Undefined unless the gateway asks for one. */
export const autoscaler = (gateway: ModelGateway): Child | undefined => {
  const {autoscaling} = gateway.spec;
  if (autoscaling === undefined) return undefined;
  const {maxReplicas, targetCPUPercent = 80} = autoscaling;
  return {
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: childMetadata(gateway),
    spec: {
      scaleTargetRef: {apiVersion: 'apps/v1', kind: 'Deployment', name: gateway.metadata.name},
      minReplicas: minReplicasOf(autoscaling),
      maxReplicas,
      metrics: [
        {
          type: 'Resource',
          resource: {name: 'cpu', target: {type: 'Utilization', averageUtilization: targetCPUPercent}},
        },
      ],
    },
  };
};
