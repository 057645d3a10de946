import {describe, expect, it} from '@jest/globals';
import * as fc from 'fast-check';
import {modelGateway} from '../../../test/objects.ts';
import type {GatewayPod, ModelGatewaySpec} from '../../api/generated.ts';
import type {ChildrenInput} from './input.ts';
import {podTemplate} from './pod-template.ts';

const inputOf = (spec: ModelGatewaySpec = {}, rest: Partial<ChildrenInput> = {}): ChildrenInput => ({
  gateway: modelGateway({uid: 'uid-1'}, spec),
  servedNamespaces: [],
  proxyImage: 'example.com/modelroute:1',
  imagePullPolicy: 'IfNotPresent',
  currentDeployment: undefined,
  ...rest,
});

const ofPod = (pod: GatewayPod): {metadata: object; spec: object} => podTemplate(inputOf({pod}));

const labels = {
  'app.kubernetes.io/managed-by': 'modelroute',
  'app.kubernetes.io/name': 'modelroute-proxy',
  'app.kubernetes.io/instance': 'models',
  'modelroute.dev/gateway': 'models',
  'modelroute.dev/gateway-namespace': 'team-a',
};

describe('the pods of a gateway', () => {
  it('run the proxy as the restricted Pod Security has it', () => {
    expect(podTemplate(inputOf()).spec).toMatchObject({
      serviceAccountName: 'models',
      automountServiceAccountToken: true,
      enableServiceLinks: false,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: 65_532,
        runAsGroup: 65_532,
        fsGroup: 65_532,
        seccompProfile: {type: 'RuntimeDefault'},
      },
      containers: [
        {
          name: 'proxy',
          image: 'example.com/modelroute:1',
          imagePullPolicy: 'IfNotPresent',
          args: ['proxy'],
          env: [
            {name: 'MODELROUTE_GATEWAY', value: 'team-a/models'},
            {name: 'MODELROUTE_POD_IP', valueFrom: {fieldRef: {fieldPath: 'status.podIP'}}},
          ],
          ports: [
            {name: 'http', containerPort: 8080},
            {name: 'admin', containerPort: 9090},
          ],
          resources: {requests: {cpu: '250m', memory: '256Mi'}},
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: {drop: ['ALL']},
          },
          readinessProbe: {httpGet: {path: '/readyz', port: 'admin'}},
          livenessProbe: {httpGet: {path: '/livez', port: 'admin'}},
        },
      ],
    });
  });

  it('mount config, credentials and a place for what they save', () => {
    expect(podTemplate(inputOf()).spec).toMatchObject({
      volumes: [
        {name: 'config', configMap: {name: 'models-config'}},
        {name: 'credentials', secret: {secretName: 'models-credentials', defaultMode: 0o440}},
        {name: 'state', emptyDir: {sizeLimit: '64Mi'}},
      ],
      containers: [
        {
          volumeMounts: [
            {name: 'config', mountPath: '/etc/modelroute/config', readOnly: true},
            {name: 'credentials', mountPath: '/etc/modelroute/credentials', readOnly: true},
            {name: 'state', mountPath: '/var/lib/modelroute'},
          ],
        },
      ],
    });
  });

  it.each([
    [undefined, 615],
    ['0s', 15],
    ['1500ms', 17],
    ['1h', 3615],
  ])('may take their time to stop: a drainPeriod of %s makes %i s', (drainPeriod, expected) => {
    const limits = drainPeriod === undefined ? {} : {drainPeriod};
    expect(podTemplate(inputOf({limits})).spec).toMatchObject({terminationGracePeriodSeconds: expected});
  });

  it('run the image that the gateway names', () => {
    expect(ofPod({image: 'example.com/ours:2'}).spec).toMatchObject({containers: [{image: 'example.com/ours:2'}]});
  });

  it('have labels and annotations added, but none of their own replaced', () => {
    const template = ofPod({
      labels: {team: 'a', 'app.kubernetes.io/name': 'mine', 'modelroute.dev/gateway': 'mine'},
      annotations: {note: 'b'},
    });
    expect(template.metadata).toEqual({labels: {...labels, team: 'a'}, annotations: {note: 'b'}});
    expect(podTemplate(inputOf()).metadata).toEqual({labels});
  });

  it('are placed as the gateway says', () => {
    const placed = {
      nodeSelector: {pool: 'cpu'},
      tolerations: [{key: 'dedicated', operator: 'Exists' as const}],
      priorityClassName: 'high',
      imagePullSecrets: [{name: 'registry'}],
    };
    expect(ofPod({...placed, topologySpread: 'None'}).spec).toMatchObject(placed);
    for (const member of [...Object.keys(placed), 'topologySpreadConstraints', 'affinity'])
      expect(ofPod({topologySpread: 'None'}).spec).not.toHaveProperty(member);
  });
});

/** Of a gateway, whatever says nothing of its pods. */
const elsewhere: fc.Arbitrary<ModelGatewaySpec> = fc.record(
  {
    replicas: fc.nat(1000),
    autoscaling: fc.record({maxReplicas: fc.integer({min: 1, max: 1000})}),
    allowedRoutes: fc.record({modelNames: fc.array(fc.string({minLength: 1}))}),
    allowedCallers: fc.record({namespaces: fc.constantFrom({from: 'All' as const}, {from: 'Same' as const})}),
    defaults: fc.record({timeouts: fc.constantFrom({request: '1m'}, {connect: '1s'})}),
    service: fc.record({port: fc.integer({min: 1, max: 65_535}), annotations: fc.dictionary(fc.string(), fc.string())}),
    limits: fc.record({maxBodyBytes: fc.constantFrom('1Mi', '2Gi'), maxConnections: fc.nat()}),
    logging: fc.record({level: fc.constantFrom('Error' as const, 'Debug' as const)}),
    tracing: fc.record({samplePercent: fc.nat(100)}),
  },
  {requiredKeys: []},
);

it('no pod is replaced by what is said of anything but pods: routes, config and credentials reach those that run', () => {
  const plain = podTemplate(inputOf());
  fc.assert(
    fc.property(elsewhere, fc.array(fc.string()), fc.nat(), (spec, servedNamespaces, version) => {
      const gateway = modelGateway({uid: 'uid-1', resourceVersion: String(version), generation: version}, spec);
      expect(podTemplate(inputOf({}, {gateway, servedNamespaces, currentDeployment: {version}}))).toEqual(plain);
    }),
  );
});
