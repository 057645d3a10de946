import {describe, expect, it} from '@jest/globals';
import {modelGateway} from '../../../test/objects.ts';
import type {GatewayService} from '../../api/generated.ts';
import {service} from './service.ts';

describe('the Service of a gateway', () => {
  const selector = {'app.kubernetes.io/name': 'modelroute-proxy', 'app.kubernetes.io/instance': 'models'};
  const port = {name: 'http', port: 80, targetPort: 'http', protocol: 'TCP', appProtocol: 'http'};
  const cases: Record<string, {given?: GatewayService; spec: object}> = {
    'is on port 80 in the cluster': {spec: {type: 'ClusterIP', selector, ports: [port]}},
    'is what the gateway says': {
      given: {type: 'LoadBalancer', port: 8000, trafficDistribution: 'PreferSameZone'},
      spec: {
        type: 'LoadBalancer',
        selector,
        ports: [{...port, port: 8000}],
        trafficDistribution: 'PreferSameZone',
      },
    },
  };
  it.each(Object.entries(cases))('%s', (_, {given, spec}) => {
    expect(service(modelGateway({uid: 'uid-1'}, {...(given !== undefined && {service: given})}))['spec']).toEqual(spec);
  });

  it('has the annotations that the gateway says', () => {
    const annotations = {'example.com/internal': 'true'};
    expect(service(modelGateway({uid: 'uid-1'}, {service: {annotations}})).metadata.annotations).toEqual(annotations);
    expect(service(modelGateway({uid: 'uid-1'})).metadata).not.toHaveProperty('annotations');
  });
});
