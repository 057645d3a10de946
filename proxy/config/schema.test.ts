import {describe, expect, it} from '@jest/globals';
import {credentialKey, formatVersion, gatewayConfigSchema, type CredentialName, type GatewayConfig} from './schema.ts';

const config: GatewayConfig = {
  formatVersion,
  gateway: {name: 'models', namespace: 'team-a', generation: 1},
  limits: {maxBodyBytes: 1, maxHeaderBytes: 2, maxBufferedBytes: 3, drainPeriodMs: 4},
  logging: {level: 'info'},
  routes: [
    {
      name: 'chat',
      namespace: 'team-a',
      generation: 1,
      modelNames: ['chat'],
      backends: [
        {
          name: 'local',
          target: {type: 'Service', namespace: 'team-a', name: 'vllm', portName: 'http', path: '/v1'},
          api: 'OpenAI',
          priority: 0,
          weight: 1,
          tls: {
            serverName: 'vllm.team-a.svc',
            ca: {namespace: 'team-a', name: 'ca', key: 'ca.crt', uid: 'u', resourceVersion: '1'},
          },
          timeouts: {connectMs: 1, firstTokenMs: 2, tokenIdleMs: 3},
        },
      ],
      requestMs: 1,
      retry: {maxAttempts: 3, maxWaitMs: 1, retryOn: ['Reset'], budgetPercent: 20},
      circuitBreaker: {
        failurePercent: 50,
        minRequests: 1,
        consecutiveFailures: 1,
        windowMs: 1,
        openDurationMs: 1,
        maxOpenDurationMs: 1,
        maxEjectionPercent: 50,
        whenAllOpen: 'TryAll',
      },
      loadBalancing: {strategy: 'LeastRequest', zonePreference: 'None'},
      stream: {keepAliveMs: 1},
    },
  ],
};

/** The document as it arrives, with a value put in at a path. */
const withValue = (path: (string | number)[], value: unknown): unknown => {
  const document: unknown = JSON.parse(JSON.stringify(config));
  let place = document as Record<string | number, unknown>;
  for (const key of path.slice(0, -1)) place = place[key] as Record<string | number, unknown>;
  place[path.at(-1)!] = value;
  return document;
};

describe('the config', () => {
  it('survives the way from operator to proxy unchanged', () => {
    expect(gatewayConfigSchema.parse(JSON.parse(JSON.stringify(config)))).toEqual(config);
  });

  it.each([
    ['the document', ['new']],
    ['a route', ['routes', 0, 'new']],
    ['a backend', ['routes', 0, 'backends', 0, 'new']],
    ['a target', ['routes', 0, 'backends', 0, 'target', 'new']],
    ['TLS', ['routes', 0, 'backends', 0, 'tls', 'new']],
    ['the name of a credential', ['routes', 0, 'backends', 0, 'tls', 'ca', 'new']],
    ['a policy', ['routes', 0, 'retry', 'new']],
  ])('drops what a later release has added to %s', (_, path) => {
    expect(gatewayConfigSchema.parse(withValue(path, {a: 1}))).toEqual(config);
  });

  it.each<[string, (string | number)[], unknown]>([
    ['a negative time', ['routes', 0, 'requestMs'], -1],
    ['a fraction', ['routes', 0, 'backends', 0, 'weight'], 0.5],
    ['more than a hundred percent', ['routes', 0, 'circuitBreaker', 'failurePercent'], 101],
    ['an unknown strategy', ['routes', 0, 'loadBalancing', 'strategy'], 'Random'],
    ['an unknown kind of target', ['routes', 0, 'backends', 0, 'target', 'type'], 'Pool'],
    ['an unknown reason to retry', ['routes', 0, 'retry', 'retryOn'], ['Always']],
    ['TLS without a name to expect', ['routes', 0, 'backends', 0, 'tls', 'serverName'], undefined],
    ['no routes', ['routes'], undefined],
  ])('is refused with %s', (_, path, value) => {
    expect(gatewayConfigSchema.safeParse(withValue(path, value)).success).toBe(false);
  });
});

describe('the key of a credential', () => {
  const name: CredentialName = {namespace: 'a', name: 'b', key: 'c', uid: 'd', resourceVersion: '1'};

  it.each<[string, Partial<CredentialName>]>([
    ['another namespace', {namespace: 'x'}],
    ['another Secret', {name: 'x'}],
    ['another key in it', {key: 'x'}],
    ['a Secret that was made anew', {uid: 'x'}],
    ['a Secret that was changed', {resourceVersion: '2'}],
  ])('is another one for %s', (_, change) => {
    expect(credentialKey({...name, ...change})).not.toBe(credentialKey(name));
    expect(credentialKey({...name})).toBe(credentialKey(name));
  });
});
