import {describe, expect, it} from '@jest/globals';
import {modelGateway} from '../../../test/objects.ts';
import type {ModelGatewaySpec} from '../../api/generated.ts';
import type {Child} from '../fleet.ts';
import {planChildren, type ChildrenInput} from './children.ts';

const input: ChildrenInput = {
  gateway: modelGateway({uid: 'uid-1'}),
  servedNamespaces: [],
  proxyImage: 'example.com/modelroute:1',
  imagePullPolicy: 'IfNotPresent',
  currentDeployment: undefined,
};

const plan = (spec: ModelGatewaySpec = {}, rest: Partial<ChildrenInput> = {}): Child[] =>
  planChildren({...input, gateway: modelGateway({uid: 'uid-1'}, spec), ...rest});

const texts = (children: Child[]): string[] =>
  children.map(({kind, metadata: {namespace, name}}) => `${kind} ${namespace}/${name}`);

const labels = {
  'app.kubernetes.io/managed-by': 'modelroute',
  'app.kubernetes.io/name': 'modelroute-proxy',
  'app.kubernetes.io/instance': 'models',
  'modelroute.dev/gateway': 'models',
  'modelroute.dev/gateway-namespace': 'team-a',
};

const slices = {apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['get', 'list', 'watch']};

const own = [
  'ServiceAccount team-a/models',
  'Role team-a/models',
  'RoleBinding team-a/models',
  'NetworkPolicy team-a/models',
  'Service team-a/models',
  'PodDisruptionBudget team-a/models',
  'Deployment team-a/models',
];

describe('a gateway', () => {
  it('becomes these, what pods need first', () => expect(texts(plan())).toEqual(own));

  it('has what its pods mount once they may read it, and before they are there', () => {
    const mounted = ['Secret', 'ConfigMap'].map((kind) => ({
      apiVersion: 'v1',
      kind,
      metadata: {name: 'models-config', namespace: 'team-a', labels: {}},
    }));
    const kinds = planChildren({...input, servedNamespaces: ['team-b']}, mounted).map(({kind}) => kind);
    expect(kinds.indexOf('Secret')).toBe(kinds.lastIndexOf('RoleBinding') + 2); // the NetworkPolicy is between them
    expect(kinds.indexOf('ConfigMap')).toBe(kinds.indexOf('Secret') + 1);
    expect(kinds.indexOf('Deployment')).toBeGreaterThan(kinds.indexOf('ConfigMap'));
  });

  it('has an autoscaler if it asks for one', () => {
    expect(texts(plan({autoscaling: {maxReplicas: 3}}))).toEqual([...own, 'HorizontalPodAutoscaler team-a/models']);
  });

  it('may read endpoints in each other namespace whose Services its routes name', () => {
    const children = plan({}, {servedNamespaces: ['team-c', 'team-a', 'team-b', 'team-c']});
    expect(texts(children).filter((text) => !own.includes(text))).toEqual([
      'Role team-b/modelroute:team-a:models',
      'RoleBinding team-b/modelroute:team-a:models',
      'Role team-c/modelroute:team-a:models',
      'RoleBinding team-c/modelroute:team-a:models',
    ]);
    expect(children.find(({kind, metadata}) => kind === 'Role' && metadata.namespace === 'team-b')).toEqual({
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'Role',
      metadata: {name: 'modelroute:team-a:models', namespace: 'team-b', labels},
      rules: [slices],
    });
    expect(children.find(({kind, metadata}) => kind === 'RoleBinding' && metadata.namespace === 'team-b')).toEqual({
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata: {name: 'modelroute:team-a:models', namespace: 'team-b', labels},
      roleRef: {apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'modelroute:team-a:models'},
      subjects: [{kind: 'ServiceAccount', namespace: 'team-a', name: 'models'}],
    });
  });

  it('may read its own config and credentials by name, and nothing else but endpoints', () => {
    const rules = plan().find(({kind}) => kind === 'Role')?.['rules'];
    const verbs = ['get', 'list', 'watch'];
    expect(rules).toEqual([
      {apiGroups: [''], resources: ['configmaps'], resourceNames: ['models-config'], verbs},
      {apiGroups: [''], resources: ['secrets'], resourceNames: ['models-credentials'], verbs},
      slices,
    ]);
  });

  it('owns and labels all that is beside it', () => {
    const owner = {
      apiVersion: 'modelroute.dev/v1alpha1',
      kind: 'ModelGateway',
      name: 'models',
      uid: 'uid-1',
      controller: true,
      blockOwnerDeletion: true,
    };
    for (const {metadata} of plan({autoscaling: {maxReplicas: 3}}))
      expect(metadata).toEqual({name: 'models', namespace: 'team-a', labels, ownerReferences: [owner]});
  });

  it('lets one proxy go at a time, and any that is not ready', () => {
    expect(plan().find(({kind}) => kind === 'PodDisruptionBudget')?.['spec']).toMatchObject({
      maxUnavailable: 1,
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
    });
  });

  it('rolls out without losing a proxy', () => {
    expect(plan({replicas: 3}).find(({kind}) => kind === 'Deployment')?.['spec']).toMatchObject({
      replicas: 3,
      revisionHistoryLimit: 3,
      strategy: {type: 'RollingUpdate', rollingUpdate: {maxUnavailable: 0, maxSurge: 1}},
    });
  });

  describe('that begins to scale automatically', () => {
    const deploymentOf = (managedFields: object[]): Child | undefined =>
      plan(
        {autoscaling: {maxReplicas: 9}},
        {currentDeployment: {metadata: {resourceVersion: '41', managedFields}, spec: {replicas: 7}}},
      ).find(({kind}) => kind === 'Deployment');

    it('repeats the number of proxies, unless it has changed meanwhile', () => {
      expect(deploymentOf([])).toMatchObject({metadata: {resourceVersion: '41'}, spec: {replicas: 7}});
    });

    it('says nothing of it once it is another', () => {
      const byAutoscaler = {manager: 'kube-controller-manager', fieldsV1: {'f:spec': {'f:replicas': {}}}};
      const deployment = deploymentOf([byAutoscaler]);
      expect(deployment?.metadata).not.toHaveProperty('resourceVersion');
      expect(deployment?.['spec']).not.toHaveProperty('replicas');
    });
  });

  it('without uid is none that an API server has made', () => {
    expect(() => plan({}, {gateway: modelGateway()})).toThrow('bug: a gateway that no API server has made');
  });
});
