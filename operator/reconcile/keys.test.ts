import {beforeEach, describe, expect, it} from '@jest/globals';
import type {KubeObject} from '../../kube/objects.ts';
import {modelGateway, modelRoute, urlBackend} from '../../test/objects.ts';
import {createStores, type Stores} from '../../test/operator/stores.ts';
import type {ModelGateway, ModelRoute} from '../api/generated.ts';
import {childLabels} from '../plan/labels.ts';
import {allKeys, watchKeys} from './keys.ts';

let version = 0;
/** As the API server hands it out: each write has another version. */
const stored = (object: ModelRoute | ModelGateway | KubeObject): KubeObject => {
  version += 1;
  const {metadata, ...rest} = object as KubeObject; // a resource is an object
  return {...rest, metadata: {uid: 'u', ...metadata, resourceVersion: String(version)}};
};

const named = (namespace: string, name: string, labels: Record<string, string> = {}): KubeObject => ({
  metadata: {namespace, name, labels},
});
const local = {name: 'local', serviceRef: {name: 'vllm', port: 8000}};
const route = modelRoute({generation: 1}, {backends: [local, urlBackend({auth: {secretRef: {name: 'openai'}}})]});
const elsewhere = modelRoute({name: 'other'}, {gatewayRef: {name: 'shared', namespace: 'infra'}});
const ofModels = childLabels({namespace: 'team-a', name: 'models'});

describe('a change concerns', () => {
  let stores: Stores;
  let keys: string[];
  const change = (kind: string, object: Parameters<typeof stored>[0]): string[] => {
    keys = [];
    stores.of(kind).set(stored(object));
    return keys;
  };

  beforeEach(() => {
    stores = createStores();
    stores.of('ModelRoute').set(stored(route));
    stores.of('ModelGateway').set(stored(modelGateway({generation: 1})));
    watchKeys({caches: stores.caches, defaultGateway: undefined, add: (key) => keys.push(key)});
  });

  it('of a route: its gateway', () => {
    expect(change('ModelRoute', modelRoute({name: 'new'}))).toEqual(['team-a/models']);
    expect(change('ModelRoute', elsewhere)).toEqual(['infra/shared']);
  });

  it('of a route that moves: both gateways', () => {
    const moved = modelRoute({generation: 2}, {gatewayRef: {name: 'shared', namespace: 'infra'}});
    expect(change('ModelRoute', moved)).toEqual(['infra/shared', 'team-a/models']);
  });

  it('of a status alone: nobody', () => {
    expect(change('ModelRoute', {...route, status: {url: 'http://x'}})).toEqual([]);
    expect(change('ModelRoute', {...route, status: {observedGeneration: 1}})).toEqual([]);
    expect(change('ModelGateway', {...modelGateway({generation: 1}), status: {routes: 1}})).toEqual([]);
  });

  it('of a status that an older reconcile has written last: the gateway that has to put it right', () => {
    const newer = {...route, metadata: {...route.metadata, generation: 2}};
    change('ModelRoute', {...newer, status: {observedGeneration: 2}});
    expect(change('ModelRoute', {...newer, status: {observedGeneration: 1}})).toEqual(['team-a/models']);
    expect(change('ModelRoute', {...newer, status: {observedGeneration: 2}})).toEqual([]);
  });

  it('of a route that begins to go: its gateway', () => {
    const going = {...route, metadata: {...route.metadata, deletionTimestamp: '2026-01-01T00:00:00Z'}};
    expect(change('ModelRoute', going)).toEqual(['team-a/models']);
  });

  it('of a gateway: itself', () => {
    expect(change('ModelGateway', modelGateway({generation: 2}))).toEqual(['team-a/models']);
  });

  it("of a Secret: the gateways of the routes that name it, and nobody for others'", () => {
    expect(change('Secret', named('team-a', 'openai'))).toEqual(['team-a/models']);
    expect(change('Secret', named('team-b', 'openai'))).toEqual([]);
  });

  it('of a Service or its slices: the gateways of the routes that name it', () => {
    expect(change('Service', named('team-a', 'vllm'))).toEqual(['team-a/models']);
    expect(change('Service', named('team-a', 'unknown'))).toEqual([]);
    const slice = named('team-a', 'vllm-abc', {'kubernetes.io/service-name': 'vllm'});
    expect(change('EndpointSlice', slice)).toEqual(['team-a/models']);
  });

  it('of slices that turn to another Service: those of the old one too', () => {
    change('EndpointSlice', named('team-a', 's', {'kubernetes.io/service-name': 'vllm'}));
    expect(change('EndpointSlice', named('team-a', 's', {'kubernetes.io/service-name': 'x'}))).toEqual([
      'team-a/models',
    ]);
  });

  it("of the gateway's own Service and its slices, labelled or not: the gateway", () => {
    expect(change('Service', named('team-a', 'models'))).toEqual(['team-a/models']);
    expect(change('EndpointSlice', named('team-a', 'm', {'kubernetes.io/service-name': 'models'}))).toEqual([
      'team-a/models',
    ]);
  });

  it('of a child: the gateway that its labels name, also when it goes or loses them', () => {
    expect(change('Deployment', named('team-a', 'models', ofModels))).toEqual(['team-a/models']);
    expect(change('Deployment', named('team-a', 'models'))).toEqual(['team-a/models']);
    expect(change('Role', named('team-b', 'modelroute:team-a:models', ofModels))).toEqual(['team-a/models']);
    keys = [];
    stores.of('Role').delete('team-b/modelroute:team-a:models');
    expect(keys).toEqual(['team-a/models']);
  });

  it('of the labels of a namespace: the gateways of its routes; of anything else in it: nobody', () => {
    expect(change('Namespace', {metadata: {name: 'team-a', labels: {tier: 'gold'}}})).toEqual(['team-a/models']);
    expect(change('Namespace', {metadata: {name: 'team-a', labels: {tier: 'gold'}}})).toEqual([]);
    expect(change('Namespace', {metadata: {name: 'team-z', labels: {}}})).toEqual([]);
  });
});

describe('at the start', () => {
  it('there is something to do for each gateway that is there, is named, or has left something', () => {
    const stores = createStores({namespace: 'infra', name: 'shared'});
    stores.of('ModelGateway').set(stored(modelGateway({name: 'own'})));
    stores.of('ModelRoute').set(stored(modelRoute()));
    stores.of('RoleBinding').set(stored(named('team-b', 'r', childLabels({namespace: 'gone', name: 'models'}))));
    expect(allKeys(stores.caches, {namespace: 'infra', name: 'shared'}).sort()).toEqual([
      'gone/models',
      'infra/shared',
      'team-a/own',
    ]);
  });
});
