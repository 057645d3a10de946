import type {ModelGateway} from '../../api/generated.ts';
import type {Child} from '../fleet.ts';
import {podSelector} from '../labels.ts';
import {nameOf} from '../metadata.ts';
import {childMetadata} from './child-metadata.ts';
import {callerPortName} from './ports.ts';

/** What callers call. */
export const service = (gateway: ModelGateway): Child => {
  const {type = 'ClusterIP', port = 80, annotations, trafficDistribution} = gateway.spec.service ?? {};
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {...childMetadata(gateway), ...(annotations !== undefined && {annotations})},
    spec: {
      type,
      selector: podSelector(nameOf(gateway)),
      ports: [{name: callerPortName, port, targetPort: callerPortName, protocol: 'TCP', appProtocol: 'http'}],
      ...(trafficDistribution !== undefined && {trafficDistribution}),
    },
  };
};
