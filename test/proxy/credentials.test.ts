import {afterEach, describe, expect, it} from '@jest/globals';
import type {BehaviourSource, Simulator} from '../../simulator/index.ts';
import {secret} from '../objects.ts';
import {until} from '../until.ts';
import {chatBody, keeper, post, startHarness, startUpstream, type Harness} from './harness.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

const key = 'sk-gateway-7f3a9c';
const callersKey = 'sk-caller-51be02';

const start = async (): Promise<{upstream: Simulator; proxy: Harness}> => {
  const upstream = await keep(startUpstream());
  const proxy = await keep(
    startHarness({
      routes: {backends: [{name: 'local', url: upstream.url, auth: {secretRef: {name: 'openai'}}}]},
      gateway: {logging: {level: 'Debug'}},
      secrets: [secret({values: {apiKey: key}})],
    }),
  );
  return {upstream, proxy};
};

/** All that anybody but the backend gets to see. */
async function everything(proxy: Harness, answers: string[]): Promise<string> {
  const paths = ['/config', '/backends', '/metrics', '/loaded', '/readyz', '/livez'];
  const admin = await Promise.all(paths.map(async (path) => (await fetch(`${proxy.admin}${path}`)).text()));
  return [...answers, ...admin, JSON.stringify(proxy.log)].join('\n');
}

async function ask(proxy: Harness, fields: object = {}): Promise<string> {
  const response = await post(proxy.url, chatBody(fields), {
    headers: {authorization: `Bearer ${callersKey}`, 'x-api-key': callersKey},
  });
  return `${JSON.stringify([...response.headers])} ${await response.text()}`;
}

const message = `Incorrect API key provided: ${key}. You sent authorization: Bearer ${key}`;
const echo = {error: {message, type: 'invalid_request_error', param: null, code: 'invalid_api_key'}};

describe('a credential', () => {
  it.each<[string, BehaviourSource]>([
    ['good answers', {do: 'answer'}],
    ['a backend that refuses it, and repeats it', {do: 'status', status: 401, body: echo}],
    ['a backend that forbids, and repeats it', {do: 'status', status: 403, body: echo}],
    ['a backend that fails, and repeats it', {do: 'status', status: 500, body: message}],
    ['a backend that fails in JSON, and repeats it', {do: 'status', status: 503, body: echo}],
    ['a backend that is busy, and repeats it', {do: 'status', status: 429, body: echo}],
    [
      'a backend that repeats it in a header',
      {do: 'status', status: 502, headers: {'www-authenticate': `Bearer ${key}`}},
    ],
    ['an error inside a 200 that repeats it', {do: 'errorEvent', afterTokens: 0, error: echo.error}],
    ['a reset', {do: 'reset'}],
    ['an answer that is not JSON and repeats it', {do: 'notJson', body: message}],
  ])('is not in answers, errors, logs, metrics or the admin port after %s', async (_, behaviour) => {
    const {upstream, proxy} = await start();
    upstream.behave(behaviour);
    const answers = [await ask(proxy), await ask(proxy, {stream: true})];
    await until(() => proxy.requests().length === 2, 'the log lines');

    expect(upstream.requests().length).toBeGreaterThanOrEqual(2);
    expect(upstream.requests().every(({headers}) => headers['authorization'] === `Bearer ${key}`)).toBe(true);
    const seen = await everything(proxy, answers);
    expect(seen).toContain('team-a/chat');
    expect(seen).not.toContain(key);
    expect(seen).not.toContain(callersKey);
    expect(JSON.stringify(upstream.requests().map(({rawHeaders}) => rawHeaders))).not.toContain(callersKey);
  });

  it('is in the config by name only', async () => {
    const {proxy} = await start();
    const config = await (await fetch(`${proxy.admin}/config`)).text();
    expect(config).toContain('"openai"');
    expect(config).not.toContain(key);
  });
});
