import {randomBytes} from 'node:crypto';
import {afterEach, describe, expect, it} from '@jest/globals';
import type {Simulator} from '../../simulator/index.ts';
import {until} from '../until.ts';
import {chatBody, keeper, post, startHarness, startUpstream, type Harness} from './harness.ts';
import {done, errorAtEnd, finish, raw, role, startByHand, textOf, token, usage} from './streams.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

async function setUp(gateway: object = {}): Promise<{local: Simulator; proxy: Harness}> {
  const local = await keep(startUpstream());
  const routes = {backends: [{name: 'local', url: local.url}], retry: {maxAttempts: 1}};
  return {local, proxy: await keep(startHarness({routes, gateway}))};
}

async function askBytes(proxy: Harness, fields: object = {}): Promise<Buffer> {
  const response = await post(proxy.url, chatBody({stream: true, ...fields}));
  expect(response.status).toBe(200);
  return Buffer.from(await response.arrayBuffer());
}

const mebibyte = 1024 * 1024;
const text = (bytes: number): string => randomBytes(bytes / 2).toString('hex');

describe('a huge event', () => {
  it('of 5 MB passes whole', async () => {
    const {local, proxy} = await setUp();
    const stream = role() + token(text(5_000_000)) + finish() + done;
    local.behave(raw([stream]));
    expect((await askBytes(proxy)).equals(Buffer.from(stream))).toBe(true);
  });

  it('of 16 MiB passes, a larger one fails cleanly', async () => {
    const {local, proxy} = await setUp();
    const opening = role() + token('One');
    const largest = token(text(16 * mebibyte - 1_000));
    local.behave(raw([opening + largest, finish() + done]));
    expect((await askBytes(proxy)).equals(Buffer.from(opening + largest + finish() + done))).toBe(true);

    local.behave(raw([opening, token(text(17 * mebibyte)), finish() + done]));
    const broken = (await askBytes(proxy)).toString();
    expect(textOf(broken)).toBe('One');
    expect(errorAtEnd(broken).error).toMatchObject({code: 'stream_cut', message: expect.stringContaining('16 MiB')});
    expect(broken.length).toBeLessThan(10_000);
  });

  it('counts against the memory of all while it is not whole', async () => {
    const {local, proxy} = await setUp({limits: {maxBodyBytes: '1Mi', maxBufferedBytes: '4Mi'}});
    local.behave(raw([role() + token('One'), token(text(8 * mebibyte)), finish() + done]));
    const broken = (await askBytes(proxy)).toString();
    expect(errorAtEnd(broken).error.message).toContain('maxBufferedBytes');
    expect(await fetch(`${proxy.admin}/backends`).then((answer) => answer.text())).toContain('"lastError": null');
    await until(() => proxy.requests().length === 1, 'the log line');
    const metrics = await fetch(`${proxy.admin}/metrics`).then((answer) => answer.text());
    expect(metrics).toMatch(/^modelroute_buffered\S* 0$/m);
  });
});

/** All that SSE allows, and more bytes per character than one. */
const oddStream = [
  ': a comment\n\n',
  role().replaceAll('\n', '\r\n'),
  'event: message\nid: 7\nretry: 100\n' + token('Grüße'),
  token(' 😀 漢字').replaceAll('\n', '\r'),
  ': another\n\n\n\n',
  `data:${JSON.stringify({choices: [{index: 0, delta: {content: 'no space'}}]})}\n\n`,
  'data: {"choices":\ndata: [{"index":0,"delta":{"content":"two lines"}}]}\n\n',
  finish(),
  usage(3, 4),
  done,
];

describe('the bytes of a stream', () => {
  const expected = Buffer.from(oddStream.join(''));
  const asksForUsage = {stream_options: {include_usage: true}};

  it('pass as the backend sent them', async () => {
    const {local, proxy} = await setUp();
    local.behave(raw(oddStream));
    expect((await askBytes(proxy, asksForUsage)).toString()).toBe(expected.toString());
  });

  it.each([1, 2, 3, 7, 64])('pass unchanged when they come in pieces of %i', async (size) => {
    const local = await keep(startByHand());
    const proxy = await keep(startHarness({routes: {backends: [{name: 'local', url: local.url}]}}));
    const asked = askBytes(proxy, asksForUsage);
    const {response} = await local.exchange(1);
    response.writeHead(200, {'content-type': 'text/event-stream'});
    response.socket!.setNoDelay(true);
    for (let at = 0; at < expected.length; at += size) {
      response.write(expected.subarray(at, at + size));
      await new Promise((resolve) => setImmediate(resolve));
    }
    response.end();
    expect((await asked).toString()).toBe(expected.toString());
  });

  it('pass unchanged from a simulator of slow bytes', async () => {
    const {local, proxy} = await setUp();
    local.behave({do: 'slowBytes', chunkBytes: 3, intervalMs: 0, text: ['Grüße', ' 😀', ' 漢字']});
    const answer = (await askBytes(proxy)).toString();
    expect(textOf(answer)).toBe('Grüße 😀 漢字');
    expect(answer.endsWith(done)).toBe(true);
  });
});
