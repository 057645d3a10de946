import {createServer, type AddressInfo, type Socket} from 'node:net';
import {afterEach, describe, expect, it} from '@jest/globals';
import {createFakeClock} from '../fake-clock.ts';
import {until} from '../until.ts';
import {chatBody, keeper, post, startHarness, startUpstream} from './harness.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

type Mute = {port: number; sockets: Set<Socket>; close(): Promise<void>};

/** Takes connections and never says a word, so that no TLS handshake comes to an end. */
async function startMute(): Promise<Mute> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket
      .on('close', () => sockets.delete(socket))
      .on('error', () => {})
      .resume();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    sockets,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

describe('a backend that cannot be connected to in timeouts.connect', () => {
  it('is failed over, and the connection in the making is let go of', async () => {
    const mute = await keep(startMute());
    const cloud = await keep(startUpstream({name: 'cloud'}));
    const clock = createFakeClock();
    const backends = [
      {name: 'mute', url: `https://127.0.0.1:${mute.port}/v1`},
      {name: 'cloud', url: cloud.url, priority: 1},
    ];
    const proxy = await keep(startHarness({routes: {backends}, clock}));
    const asked = post(proxy.url, chatBody());
    await until(() => mute.sockets.size === 1, 'the connection');
    await clock.advance(2_000);
    const response = await asked;
    expect(response.headers.get('x-modelroute-backend')).toBe('cloud');
    expect(await response.text()).toContain('Hello from cloud');
    await until(() => mute.sockets.size === 0, 'the connection to be let go of');
  });

  it('is let go of as well when the caller leaves meanwhile', async () => {
    const mute = await keep(startMute());
    const proxy = await keep(
      startHarness({routes: {backends: [{name: 'mute', url: `https://127.0.0.1:${mute.port}/v1`}]}}),
    );
    const leaving = new AbortController();
    const asked = post(proxy.url, chatBody(), {signal: leaving.signal}).catch(() => 'left');
    await until(() => mute.sockets.size === 1, 'the connection');
    leaving.abort();
    expect(await asked).toBe('left');
    await until(() => mute.sockets.size === 0, 'the connection to be let go of');
  });

  it('says so, without its address', async () => {
    const mute = await startMute();
    await mute.close();
    const proxy = await keep(
      startHarness({routes: {backends: [{name: 'gone', url: `http://127.0.0.1:${mute.port}/v1`}]}}),
    );
    const response = await post(proxy.url, chatBody());
    const body = await response.text();
    expect(response.status).toBe(502);
    expect(JSON.parse(body)).toMatchObject({
      error: {code: 'backend_connect_failed', message: expect.stringContaining('gone could not be connected to')},
    });
    expect(body).not.toContain(String(mute.port));
  });
});
