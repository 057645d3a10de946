/** CONNECT is refused by the server itself, on a connection that it has let go of. */
import {once} from 'node:events';
import {connect, type Socket} from 'node:net';
import {afterEach, describe, expect, it} from '@jest/globals';
import {until} from '../until.ts';
import {chatBody, keeper, post, startHarness, startUpstream, type Harness} from './harness.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

async function start(): Promise<Harness> {
  const upstream = await keep(startUpstream());
  return keep(startHarness({routes: {backends: [{name: 'local', url: upstream.url}]}}));
}

const ports: [string, (proxy: Harness) => number][] = [
  ['port', ({port}) => port],
  ['admin port', ({admin}) => Number(new URL(admin).port)],
];

/** Has read the refusal, and has not ended his side. */
async function connectThrough(port: number): Promise<Socket> {
  const socket = connect({port, host: '127.0.0.1', allowHalfOpen: true});
  socket.on('error', () => {}); // 'close' follows
  await keep(Promise.resolve({close: () => Promise.resolve(void socket.destroy())}));
  socket.write('CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\n\r\n');
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
  await until(() => text.endsWith('}'), 'the refusal');
  expect(text).toMatch(/^HTTP\/1\.1 405 .*"code":"method_not_allowed"/s);
  return socket;
}

describe.each(ports)('CONNECT to the %s', (_, portOf) => {
  it('of callers who reset the connection then brings nothing down', async () => {
    const proxy = await start();
    for (let times = 0; times < 10; times += 1) {
      const socket = await connectThrough(portOf(proxy));
      socket.resetAndDestroy();
      await until(() => socket.closed, 'the reset');
    }
    // A reset before the refusal has been read, too.
    const hasty = connect(portOf(proxy), '127.0.0.1');
    await once(hasty, 'connect');
    hasty.write('CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\n\r\nmore');
    hasty.resetAndDestroy();
    expect((await post(proxy.url, chatBody())).status).toBe(200);
    expect((await fetch(`${proxy.admin}/livez`)).status).toBe(200);
    await proxy.proxy.drain();
  });

  it.each<[string, (proxy: Harness) => Promise<void>]>([
    ['drain', ({proxy}) => proxy.drain()],
    ['stop at once', ({proxy}) => proxy.stopNow()],
  ])('of a caller who keeps his half open lets the proxy %s', async (__, stop) => {
    const proxy = await start();
    await connectThrough(portOf(proxy));
    await stop(proxy);
  });
});
