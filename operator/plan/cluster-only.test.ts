import {describe, expect, it} from '@jest/globals';
import {clusterOnlyIn} from './cluster-only.ts';

const gateway = {kind: 'ModelGateway', namespace: 'team-a', name: 'models'};

describe('fields that only a cluster acts on', () => {
  it('are named with their object', () => {
    const value = {
      spec: {replicas: 3, pod: {image: 'x'}, limits: {}, defaults: {loadBalancing: {zonePreference: 'None'}}},
    };
    expect(clusterOnlyIn({...gateway, value})).toEqual([
      'ModelGateway team-a/models: spec.replicas',
      'ModelGateway team-a/models: spec.pod',
      'ModelGateway team-a/models: spec.defaults.loadBalancing.zonePreference',
    ]);
  });

  it.each([
    ['of which there are none', {...gateway, value: {spec: {limits: {}}}}],
    ['that are null are not there', {...gateway, value: {spec: {pod: null}}}],
    ['do not exist in a Secret', {...gateway, kind: 'Secret', value: {spec: {replicas: 1}}}],
  ])('%s', (_, object) => {
    expect(clusterOnlyIn(object)).toEqual([]);
  });
});
