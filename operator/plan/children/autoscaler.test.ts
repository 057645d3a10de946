import {describe, expect, it} from '@jest/globals';
import {modelGateway} from '../../../test/objects.ts';
import type {Autoscaling} from '../../api/generated.ts';
import {autoscaler} from './autoscaler.ts';

const scaler = (autoscaling: Autoscaling): ReturnType<typeof autoscaler> =>
  autoscaler(modelGateway({uid: 'uid-1'}, {autoscaling}));

describe('the autoscaler of a gateway', () => {
  it('is none unless asked for', () => expect(autoscaler(modelGateway({uid: 'uid-1'}))).toBeUndefined());

  it('keeps at least two proxies, at 80 % of what they request', () => {
    expect(scaler({maxReplicas: 10})).toMatchObject({
      spec: {
        scaleTargetRef: {apiVersion: 'apps/v1', kind: 'Deployment', name: 'models'},
        minReplicas: 2,
        maxReplicas: 10,
        metrics: [{type: 'Resource', resource: {name: 'cpu', target: {type: 'Utilization', averageUtilization: 80}}}],
      },
    });
  });

  it('does as the gateway says', () => {
    expect(scaler({minReplicas: 3, maxReplicas: 4, targetCPUPercent: 60})).toMatchObject({
      spec: {minReplicas: 3, maxReplicas: 4, metrics: [{resource: {target: {averageUtilization: 60}}}]},
    });
  });
});
