import {afterAll, beforeAll, describe, expect, it} from '@jest/globals';
import type {Simulator} from '../../simulator/index.ts';
import {until} from '../until.ts';
import {chatBody, keeper, startHarness, startUpstream, type Harness} from './harness.ts';
import {errorIn, openRaw, readAnswers} from './raw-caller.ts';

const {keep, closeAll} = keeper();
let upstream: Simulator;
let proxy: Harness;

beforeAll(async () => {
  upstream = await keep(startUpstream());
  proxy = await keep(
    startHarness({
      routes: {backends: [{name: 'local', url: upstream.url}]},
      gateway: {limits: {maxBodyBytes: '1Ki'}},
    }),
  );
});
afterAll(closeAll);

const goOn = 'HTTP/1.1 100 Continue\r\n\r\n';
const body = chatBody();
const head = (headers: string, path = '/v1/chat/completions'): string =>
  `POST ${path} HTTP/1.1\r\nhost: models\r\nexpect: 100-continue\r\n${headers}\r\n`;

describe('a caller that asks before he sends his body', () => {
  it('is told to go on, and answered', async () => {
    const caller = await keep(openRaw(proxy.port));
    caller.write(head(`content-type: application/json\r\ncontent-length: ${body.length}\r\n`));
    await until(() => caller.received() === goOn, 'the 100');
    caller.write(body);
    await until(() => caller.received().includes('Hello'), 'the answer');
    const [answer] = readAnswers(caller.received().slice(goOn.length));
    expect(answer).toMatchObject({status: 200});
    expect(upstream.requests().at(-1)?.headers['expect']).toBeUndefined();
  });

  it.each([
    ['too large a body', head('content-type: application/json\r\ncontent-length: 2000\r\n'), 413, 'body_too_large'],
    [
      'a body of another type',
      head('content-type: text/plain\r\ncontent-length: 20\r\n'),
      415,
      'unsupported_media_type',
    ],
    ['a path that nobody has', head('content-length: 20\r\n', '/v2/nothing'), 404, 'unknown_path'],
    ['a path that takes no POST', head('content-length: 20\r\n', '/v1/models'), 405, 'method_not_allowed'],
  ])(
    'with %s is refused without being told to go on, and the connection closed: nobody knows if he will send it',
    async (_, bytes, status, code) => {
      const caller = await keep(openRaw(proxy.port));
      caller.write(bytes);
      await caller.closed();
      const answers = readAnswers(caller.received());
      expect(answers).toHaveLength(1);
      expect(answers[0]).toMatchObject({status, headers: {connection: 'close'}});
      expect(errorIn(answers[0]!)).toMatchObject({code});
    },
  );

  it('is answered too if he does not wait', async () => {
    const caller = await keep(openRaw(proxy.port));
    caller.write(head(`content-type: application/json\r\ncontent-length: ${body.length}\r\n`) + body);
    await until(() => caller.received().includes('Hello'), 'the answer');
    expect(caller.received().startsWith(goOn)).toBe(true);
  });

  it('is served if he expects something that nobody knows', async () => {
    const caller = await keep(openRaw(proxy.port));
    const unknown = head(`content-type: application/json\r\ncontent-length: ${body.length}\r\n`).replace(
      '100-continue',
      'a-miracle',
    );
    caller.write(unknown + body);
    await until(() => readAnswers(caller.received()).some(({whole}) => whole), 'an answer');
    expect(readAnswers(caller.received())[0]?.status).toBe(200);
  });
});
