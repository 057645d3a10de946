import {afterEach, describe, expect, it} from '@jest/globals';
import type {Backend} from '../../operator/api/generated.ts';
import type {LiveInput} from '../../proxy/engine/live.ts';
import type {Simulator} from '../../simulator/index.ts';
import {secret} from '../objects.ts';
import {createCa} from './certificates.ts';
import {chatBody, keeper, post, startHarness, startUpstream, toInput, type Harness} from './harness.ts';
import {liveView, patientBreaker} from './ladder.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

const version = (resourceVersion: string): ReturnType<typeof secret> =>
  secret({resourceVersion, values: {apiKey: `sk-${resourceVersion}`}});

const inputFor = (url: string, resourceVersion: string, backend: Partial<Backend> = {}): LiveInput =>
  toInput({
    routes: {
      backends: [{name: 'local', url, auth: {secretRef: {name: 'openai'}}, ...backend}],
      circuitBreaker: patientBreaker,
    },
    secrets: [version(resourceVersion)],
  });

/** As a proxy sees it whose watch of the credentials lags behind that of the config. */
const withoutCredentials = (input: LiveInput): LiveInput => ({...input, credentials: new Map()});

const keysOf = (upstream: Simulator): unknown[] => upstream.requests().map(({headers}) => headers['authorization']);

async function ask(proxy: Harness): Promise<number> {
  const response = await post(proxy.url, chatBody());
  await response.text();
  return response.status;
}

describe('a backend whose credential has not arrived', () => {
  it('keeps the URL and the key that it had, and gets both new ones together', async () => {
    const before = await keep(startUpstream());
    const after = await keep(startUpstream());
    const proxy = await keep(startHarness({routes: {backends: [{name: 'other', url: before.url}]}}));
    proxy.proxy.update(inputFor(before.url, '1'));
    expect(await ask(proxy)).toBe(200);

    const next = inputFor(after.url, '2', {priority: 3});
    for (let times = 0; times < 2; times += 1) {
      proxy.proxy.update(withoutCredentials(next));
      expect(await ask(proxy)).toBe(200);
    }
    expect([keysOf(before), keysOf(after)]).toEqual([['Bearer sk-1', 'Bearer sk-1', 'Bearer sk-1'], []]);
    expect(before.totalConnections()).toBe(1);
    expect(await liveView(proxy, 'local')).toMatchObject({
      rung: 3,
      lastError: {message: 'key "apiKey" of Secret team-a/openai has not arrived'},
    });

    proxy.proxy.update(next);
    expect(await ask(proxy)).toBe(200);
    expect([keysOf(before).length, keysOf(after)]).toEqual([3, ['Bearer sk-2']]);
    expect((await liveView(proxy, 'local')).lastError).toBeNull();
  });

  it('keeps the breaker that it had, too', async () => {
    const upstream = await keep(startUpstream());
    const proxy = await keep(startHarness({routes: {backends: [{name: 'other', url: upstream.url}]}}));
    proxy.proxy.update(inputFor(upstream.url, '1'));
    upstream.behave({do: 'status', status: 500});
    while ((await liveView(proxy, 'local')).breaker === 'Closed') await ask(proxy);
    proxy.proxy.update(withoutCredentials(inputFor(upstream.url, '2')));
    expect((await liveView(proxy, 'local')).breaker).toBe('Open');
    proxy.proxy.update(inputFor(upstream.url, '2'));
    expect((await liveView(proxy, 'local')).breaker).toBe('Closed');
  });

  it('takes no traffic if it is new; all others do, and it does as soon as the credential is there', async () => {
    const local = await keep(startUpstream({name: 'local'}));
    const cloud = await keep(startUpstream({name: 'cloud'}));
    const proxy = await keep(startHarness({routes: {backends: [{name: 'cloud', url: cloud.url}]}}));
    const input = toInput({
      routes: {
        backends: [
          {name: 'local', url: local.url, auth: {secretRef: {name: 'openai'}}},
          {name: 'cloud', url: cloud.url, priority: 1},
        ],
      },
      secrets: [version('1')],
    });
    for (let times = 0; times < 2; times += 1) {
      proxy.proxy.update(withoutCredentials(input));
      expect(await ask(proxy)).toBe(200);
    }
    expect([local.totalConnections(), cloud.requests().length]).toEqual([0, 2]);
    expect(await liveView(proxy, 'local')).toMatchObject({
      endpoints: [],
      lastError: {message: expect.stringContaining('has not arrived')},
    });
    proxy.proxy.update(input);
    expect(await ask(proxy)).toBe(200);
    expect(keysOf(local)).toEqual(['Bearer sk-1']);
  });

  it('goes on with what it has when the credential is there no more', async () => {
    const upstream = await keep(startUpstream());
    const proxy = await keep(startHarness({routes: {backends: [{name: 'other', url: upstream.url}]}}));
    const input = inputFor(upstream.url, '1');
    proxy.proxy.update(input);
    proxy.proxy.update(withoutCredentials(input));
    expect(await ask(proxy)).toBe(200);
    expect(keysOf(upstream)).toEqual(['Bearer sk-1']);
    expect((await liveView(proxy, 'local')).lastError).toBeNull();
  });
});

describe('a certificate that cannot be read', () => {
  it('keeps its backend out of traffic, and nothing else', async () => {
    const cloud = await keep(startUpstream({name: 'cloud'}));
    const input = toInput({
      routes: {
        backends: [
          {name: 'local', url: 'https://127.0.0.1:9/v1', tls: {caRef: {name: 'ca'}}},
          {name: 'cloud', url: cloud.url, priority: 1},
        ],
      },
      secrets: [secret({name: 'ca', values: {'ca.crt': createCa().cert.replaceAll(/^M.*$/gm, 'AAAA')}})],
    });
    const proxy = await keep(startHarness({routes: {backends: [{name: 'cloud', url: cloud.url}]}}));
    proxy.proxy.update(input);
    const response = await post(proxy.url, chatBody());
    expect([response.status, response.headers.get('x-modelroute-attempts')]).toEqual([200, '1']);
    expect(await liveView(proxy, 'local')).toMatchObject({
      endpoints: [],
      lastError: {
        message:
          'key "ca.crt" of Secret team-a/ca holds a certificate that cannot be read: put it there as it was issued',
      },
    });
  });
});
