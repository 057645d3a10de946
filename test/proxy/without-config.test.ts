/** A proxy that starts before there is anything to serve, and what a later config changes of its server. */
import {Writable} from 'node:stream';
import {afterEach, describe, expect, it} from '@jest/globals';
import {startProxy, type Proxy} from '../../proxy/main.ts';
import {createLog} from '../../proxy/telemetry/log.ts';
import {chatBody, keeper, post, startUpstream, toInput} from './harness.ts';
import {exchange} from './raw-caller.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

const silent = createLog(new Writable({write: (_chunk, _encoding, done) => done()}), false);

async function start(notReady?: () => string | undefined): Promise<Proxy & {url: string; admin: string}> {
  const anywhere = {host: '127.0.0.1', port: 0};
  const proxy = await startProxy({
    listen: anywhere,
    admin: anywhere,
    log: silent,
    random: Math.random,
    drainGraceMs: 0,
    ...(notReady && {notReady}),
  });
  await keep(Promise.resolve({close: () => proxy.stopNow()}));
  const urls = {url: `http://127.0.0.1:${proxy.port}`, admin: `http://127.0.0.1:${proxy.adminPort}`};
  return Object.assign(proxy, urls);
}

const ready = async ({admin}: {admin: string}): Promise<[number, string]> => {
  const response = await fetch(`${admin}/readyz`);
  return [response.status, (await response.text()).trim()];
};

describe('a proxy without a config', () => {
  it('listens and lives, is not ready, and tells callers so in the shape of their API', async () => {
    const proxy = await start();
    expect((await fetch(`${proxy.admin}/livez`)).status).toBe(200);
    expect(await ready(proxy)).toEqual([503, 'no config yet']);
    expect(await (await fetch(`${proxy.admin}/loaded`)).json()).toEqual({
      hash: '',
      generation: null,
      routes: 0,
      rejected: null,
      missingCredentials: [],
    });
    const answer = await post(proxy.url, chatBody());
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '1']);
    expect(await answer.json()).toMatchObject({error: {code: 'no_backend_available', type: 'overloaded_error'}});
    const message = await post(proxy.url, chatBody(), {path: '/v1/messages'});
    expect([message.status, await message.json()]).toMatchObject([
      503,
      {type: 'error', error: {type: 'overloaded_error'}},
    ]);
    expect((await fetch(`${proxy.url}/v1/models`)).status).toBe(503);
  });

  it('says why when one was refused, and serves with the first good one', async () => {
    const upstream = await keep(startUpstream());
    const proxy = await start();
    proxy.rejected({hash: '', reason: 'config.json.gz holds no JSON'});
    expect(await ready(proxy)).toEqual([503, 'no valid config yet: config.json.gz holds no JSON']);
    proxy.update(toInput({routes: {backends: [{name: 'a', url: upstream.url}]}}));
    expect(await ready(proxy)).toEqual([200, 'ok']);
    expect((await post(proxy.url, chatBody())).status).toBe(200);
  });

  it('drains at once', async () => {
    const proxy = await start();
    await proxy.drain();
  });
});

describe('a proxy with a config', () => {
  it('is not ready while its starter says so', async () => {
    let reason: string | undefined = 'endpoints are not known yet in team-a';
    const proxy = await start(() => reason);
    proxy.update(toInput({routes: {backends: [{name: 'a', url: 'http://127.0.0.1:9/v1'}]}}));
    expect(await ready(proxy)).toEqual([503, 'endpoints are not known yet in team-a']);
    reason = undefined;
    expect(await ready(proxy)).toEqual([200, 'ok']);
  });

  it.each([
    ['more', '64Ki', 200],
    ['less', '1Ki', 431],
  ])('takes %s of headers on new connections when a later one says so', async (_, maxHeaderBytes, status) => {
    const upstream = await keep(startUpstream());
    const proxy = await start();
    const input = (gateway: object) => toInput({routes: {backends: [{name: 'a', url: upstream.url}]}, gateway});
    const send = async (): Promise<number> => {
      const padding = 'x'.repeat(status === 200 ? 40_000 : 4_000);
      const [answer] = await exchange(
        proxy.port,
        `GET /v1/models HTTP/1.1\r\nhost: a\r\nx-padding: ${padding}\r\nconnection: close\r\n\r\n`,
      );
      return answer!.status;
    };
    proxy.update(input({}));
    expect(await send()).toBe(status === 200 ? 431 : 200);
    proxy.update(input({limits: {maxHeaderBytes}}));
    expect(await send()).toBe(status);
  });
});
