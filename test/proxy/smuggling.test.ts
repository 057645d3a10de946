import {afterAll, beforeAll, describe, expect, it} from '@jest/globals';
import type {Simulator} from '../../simulator/index.ts';
import {until} from '../until.ts';
import {chatBody, keeper, startHarness, startUpstream, type Harness} from './harness.ts';
import {errorIn, exchange, openRaw, rawPost, readAnswers} from './raw-caller.ts';

const {keep, closeAll} = keeper();
let upstream: Simulator;
let proxy: Harness;

beforeAll(async () => {
  upstream = await keep(startUpstream());
  proxy = await keep(
    startHarness({
      routes: {backends: [{name: 'local', url: upstream.url}]},
      gateway: {limits: {maxHeaderBytes: '8Ki'}},
    }),
  );
});
afterAll(closeAll);

const head = 'POST /v1/chat/completions HTTP/1.1\r\nhost: models\r\ncontent-type: application/json\r\n';
/** What an attacker hides in the body, to be taken for the next request. */
const hidden = 'GET /v1/models HTTP/1.1\r\nhost: models\r\n\r\n';
const body = chatBody();
const chunks = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;

const malformed: Record<string, string | Uint8Array> = {
  'a content-length and chunks': `${head}content-length: 6\r\ntransfer-encoding: chunked\r\n\r\n${chunks}${hidden}`,
  'chunks and a content-length': `${head}transfer-encoding: chunked\r\ncontent-length: 6\r\n\r\n${chunks}${hidden}`,
  'two content-lengths that differ': `${head}content-length: ${body.length}\r\ncontent-length: 6\r\n\r\n${body}${hidden}`,
  'one content-length twice': `${head}content-length: ${body.length}\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  'a list of content-lengths': `${head}content-length: ${body.length}, ${body.length}\r\n\r\n${body}`,
  'a content-length below zero': `${head}content-length: -1\r\n\r\n${body}`,
  'a content-length with a plus': `${head}content-length: +${body.length}\r\n\r\n${body}`,
  'a content-length in hexadecimal': `${head}content-length: 0x10\r\n\r\n${body}`,
  'a content-length past all integers': `${head}content-length: 99999999999999999999999\r\n\r\n${body}`,
  'a transfer-encoding that is not chunked': `${head}transfer-encoding: gzip\r\n\r\n${body}`,
  'a transfer-encoding under the chunks': `${head}transfer-encoding: gzip, chunked\r\n\r\n${chunks}`,
  'chunks twice': `${head}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n${chunks}`,
  'chunks, then something else': `${head}transfer-encoding: chunked, identity\r\n\r\n${chunks}${hidden}`,
  'chunks under another name': `${head}transfer-encoding: xchunked\r\n\r\n${chunks}${hidden}`,
  'chunks behind a vertical tab': `${head}transfer-encoding: \x0bchunked\r\n\r\n${chunks}${hidden}`,
  'a chunk whose size is no number': `${head}transfer-encoding: chunked\r\n\r\nzz\r\n${body}\r\n0\r\n\r\n`,
  'a chunk longer than its size': `${head}transfer-encoding: chunked\r\n\r\n3\r\n${body}\r\n0\r\n\r\n`,
  'bare line feeds': `${head.replaceAll('\r\n', '\n')}content-length: ${body.length}\n\n${body}`,
  'a bare line feed between two headers': `${head}x-a: b\ncontent-length: 0\r\n\r\n`,
  'a bare carriage return in a header': `${head}x-a: b\rcontent-length: 0\r\n\r\n`,
  'a header folded over two lines': `${head}x-a: b\r\n c\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  'a space before the colon': `${head}content-length : ${body.length}\r\n\r\n${body}`,
  'a space before the first header': `POST /v1/chat/completions HTTP/1.1\r\n host: models\r\n\r\n`,
  'a header without a colon': `${head}x-a\r\n\r\n`,
  'a NUL in a header': `${head}x-a: b\0c\r\n\r\n`,
  'a NUL in the path': 'GET /v1/models\0 HTTP/1.1\r\nhost: models\r\n\r\n',
  'a space in the path': 'GET /v1/models /x HTTP/1.1\r\nhost: models\r\n\r\n',
  'a method that nobody knows': 'FROBNICATE /v1/models HTTP/1.1\r\nhost: models\r\n\r\n',
  'a version that nobody speaks': 'GET /v1/models HTTP/9.9\r\nhost: models\r\n\r\n',
  'no host': 'GET /v1/models HTTP/1.1\r\n\r\n',
  'the preface of HTTP/2': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  'the hello of TLS': Uint8Array.from([0x16, 0x03, 0x01, 0x00, 0xc8, 0x01, 0x00, 0x00, 0xc4, 0x03, 0x03]),
  'a file of another kind': Uint8Array.from([0x7f, 0x45, 0x4c, 0x46, 0x02, 0x01, 0x01, 0x00, 0xff, 0xfe]),
};

describe('bytes that are no request', () => {
  it.each(Object.keys(malformed))('are refused and the connection closed: %s', async (title) => {
    const before = upstream.requests().length;
    const answers = await exchange(proxy.port, malformed[title]!);
    expect(answers).toHaveLength(1);
    expect(answers[0]).toMatchObject({status: 400, headers: {connection: 'close'}});
    expect(errorIn(answers[0]!)).toMatchObject({code: 'malformed_http', type: 'invalid_request_error', param: null});
    expect(upstream.requests()).toHaveLength(before);
  });

  it.each([
    ['one header', `x-a: ${'a'.repeat(9_000)}\r\n`],
    ['many', Array.from({length: 900}, (_, index) => `x-${index}: abcdefgh\r\n`).join('')],
  ])('are refused with 431 if %s has more than limits.maxHeaderBytes', async (_, headers) => {
    const answers = await exchange(proxy.port, `${head}${headers}\r\n`);
    expect(answers).toHaveLength(1);
    expect(answers[0]).toMatchObject({status: 431, headers: {connection: 'close'}});
    expect(errorIn(answers[0]!)).toMatchObject({code: 'headers_too_large'});
  });

  it('take the requests behind them on the same connection with them', async () => {
    const answers = await exchange(proxy.port, `${head}content-length : 2\r\n\r\n{}`, hidden, rawPost(body));
    expect(answers.map(({status}) => status)).toEqual([400]);
  });

  it('behind a good request do not take its answer away', async () => {
    const caller = await openRaw(proxy.port);
    caller.write(rawPost(body));
    await until(() => readAnswers(caller.received()).some(({whole}) => whole), 'the answer');
    caller.write('GET /v1/models HTTP/1.1\r\nhost : models\r\n\r\n');
    await caller.closed();
    expect(readAnswers(caller.received()).map(({status}) => status)).toEqual([200, 400]);
  });

  it('are counted', async () => {
    const refused = async (): Promise<number> => {
      const metrics = await (await fetch(`${proxy.admin}/metrics`)).text();
      return Number(/^modelroute_errors_total{[^}]*code="malformed_http"[^}]*} (\d+)/m.exec(metrics)?.[1] ?? 0);
    };
    const before = await refused();
    await exchange(proxy.port, `${head}x-a : 1\r\n\r\n`);
    expect(await refused()).toBe(before + 1);
  });

  it('to be tunnelled elsewhere get 405: this is no forward proxy', async () => {
    const [answer] = await exchange(proxy.port, 'CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\n\r\n');
    expect(answer).toMatchObject({status: 405, headers: {connection: 'close'}});
    expect(errorIn(answer!)).toMatchObject({code: 'method_not_allowed'});
  });

  it('are named in the log, without themselves, under the id of their answer', async () => {
    const before = proxy.log.length;
    const [answer] = await exchange(proxy.port, `${head}x-secret-thing : 1\r\n\r\n`);
    const lines = proxy.log.slice(before);
    const requestId = answer?.headers['x-request-id'];
    expect(requestId).toMatch(/^[0-9a-f-]{36}$/);
    expect(lines).toEqual([expect.objectContaining({message: 'refused', code: 'malformed_http', requestId})]);
    expect(JSON.stringify(lines)).not.toContain('secret-thing');
  });

  it('have the status that was sent in the log line of a request whose headers had been good', async () => {
    const before = proxy.requests().length;
    await exchange(proxy.port, `${head}transfer-encoding: chunked\r\n\r\nzz\r\n`);
    await until(() => proxy.requests().length > before, 'the log line');
    expect(proxy.requests().at(-1)).toMatchObject({status: 400, error: 'malformed_http'});
  });
});

describe('a running stream', () => {
  /** One token, then silence until it is told to go on, which is never. */
  const startStream = async (): Promise<Awaited<ReturnType<typeof openRaw>>> => {
    upstream.behave({do: 'hang', where: 'AfterTokens', tokens: 1}, {times: 1});
    const caller = await keep(openRaw(proxy.port));
    caller.write(rawPost(chatBody({stream: true})));
    await until(() => caller.received().includes('"content":'), 'the first token');
    return caller;
  };

  it('on whose socket garbage arrives gets no other bytes into it', async () => {
    const caller = await startStream();
    caller.write('\x16\x03\x01 garbage\r\n\r\n');
    await caller.closed();
    const answers = readAnswers(caller.received());
    expect(answers).toHaveLength(1);
    expect(answers[0]).toMatchObject({status: 200, whole: false});
    expect(caller.received()).not.toContain('malformed_http');
  });

  it('gets none either if a second request waits behind it', async () => {
    const caller = await startStream();
    upstream.behave({do: 'hang'}, {times: 1});
    const asked = upstream.requests().length;
    caller.write(rawPost(body));
    await until(() => upstream.requests().length > asked, 'the second request');
    caller.write('\x16\x03\x01 garbage\r\n\r\n');
    await caller.closed();
    const answers = readAnswers(caller.received());
    expect(answers).toHaveLength(1);
    expect(caller.received()).not.toContain('malformed_http');
    await until(() => upstream.activeRequests() === 0, 'both have been stopped upstream');
  });
});
