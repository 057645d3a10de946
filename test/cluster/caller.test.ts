/** The load client that the cluster tests trust: it must notice every way in which an answer can be wrong. */
import {createServer, type IncomingMessage, type Server, type ServerResponse} from 'node:http';
import type {AddressInfo} from 'node:net';
import {afterAll, afterEach, beforeAll, describe, expect, it} from '@jest/globals';
import {startSimulator, type Simulator} from '../../simulator/index.ts';
import {
  buildCaller,
  fetchFrom,
  firstAnswer,
  flow,
  goIsThere,
  mustHaveNoFailures,
  startLoad,
  type LoadReport,
} from './load.ts';

const limitMs = 60_000;
const canBuild = goIsThere();
if (!canBuild) process.stderr.write('skipped: the load client, for this machine has no Go\n');
const described = canBuild || process.env['CI'] === 'true' ? describe : describe.skip;

type Asked = {stream: boolean; simulate: {text: string[]}};
type Answer = (asked: Asked, response: ServerResponse) => void;

const readAll = async (request: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
};

const chunk = (content: string, finish_reason: string | null = null): string =>
  `data: ${JSON.stringify({object: 'chat.completion.chunk', choices: [{index: 0, delta: {content}, finish_reason}]})}\n\n`;

/** A stream of these tokens that is well-formed otherwise. */
const says =
  (change: (tokens: string[]) => string[], end = `${chunk('', 'stop')}data: [DONE]\n\n`): Answer =>
  ({simulate}, response) => {
    response.writeHead(200, {'content-type': 'text/event-stream'});
    response.end(
      change(simulate.text)
        .map((token) => chunk(token))
        .join('') + end,
    );
  };

described('the load client', () => {
  let simulator: Simulator;
  let server: Server | undefined;

  beforeAll(async () => {
    buildCaller();
    simulator = await startSimulator({models: ['chat']});
  }, 300_000);
  afterAll(() => simulator.close());
  afterEach(() => {
    server?.closeAllConnections();
    server?.close();
    server = undefined;
  });

  const serve = async (answer: Answer): Promise<string> => {
    const started = createServer((request, response) => {
      void readAll(request).then((text) => answer(JSON.parse(text) as Asked, response));
    });
    server = started;
    await new Promise<void>((resolve) => started.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(started.address() as AddressInfo).port}/v1`;
  };

  const short = {plainPerSecond: 10, streams: 2, streamTokens: 10, pace: 50} as const;
  const against = (url: string, more: object = {}): Promise<LoadReport> =>
    startLoad({url, ...short, seconds: 0.5, ...more}).ended();

  it(
    'counts whole answers, plain and streamed, and where they came from',
    async () => {
      const report = await against(simulator.url);
      expect(() => mustHaveNoFailures(report, 'nothing happens', 5)).not.toThrow();
      expect(report.plain['ok']).toBeGreaterThan(0);
      expect(report.streams['ok']).toBeGreaterThan(0);
      expect(report.plain['ok']! + report.streams['ok']!).toBe(report.ok);
      expect(Object.values(report.servers)).toEqual([report.ok]);
      expect(report.connections.reused).toBeGreaterThan(0);
      expect(report.firstFailureAt).toBeUndefined();
      expect(report.tokenGapMs.max).toBeGreaterThan(0);
    },
    limitMs,
  );

  it(
    'takes what it is not told to compare from a model that says what it likes',
    async () => {
      const report = await against(simulator.url, {expect: 'any'});
      expect(report.failed).toBe(0);
      expect(report.ok).toBeGreaterThan(0);
    },
    limitMs,
  );

  const misbehaving: Record<string, {simulate: object; plain: string; streams: string}> = {
    'an answer that is cut': {simulate: {do: 'cut', afterTokens: 3}, plain: 'cut', streams: 'cut'},
    'an answer cut in a way that HTTP finds whole': {
      simulate: {do: 'cut', afterTokens: 3, graceful: true},
      plain: 'malformed',
      streams: 'cut',
    },
    'a reset in the answer': {simulate: {do: 'reset', where: 'AfterTokens'}, plain: 'cut', streams: 'cut'},
    'a reset before the answer': {simulate: {do: 'reset'}, plain: 'cut', streams: 'cut'},
    'an error status': {
      simulate: {do: 'status', status: 503},
      plain: 'status 503 server_error',
      streams: 'status 503 server_error',
    },
    'an error status with a code': {
      simulate: {do: 'status', status: 429},
      plain: 'status 429 rate_limit_exceeded',
      streams: 'status 429 rate_limit_exceeded',
    },
    'silence before the headers': {simulate: {do: 'hang'}, plain: 'timeout', streams: 'timeout'},
    'silence in the answer': {
      simulate: {do: 'hang', where: 'AfterTokens', tokens: 2},
      plain: 'timeout',
      streams: 'timeout',
    },
    'an event that is not JSON': {simulate: {do: 'malformedEvent'}, plain: 'ok', streams: 'malformed'},
    'an error event': {
      simulate: {do: 'errorEvent', error: {message: 'x', code: 'upstream_cut'}},
      plain: 'ok',
      streams: 'event upstream_cut',
    },
    'an error event with an end': {
      simulate: {do: 'errorEvent', done: true, error: {message: 'x', code: 'upstream_cut'}},
      plain: 'ok',
      streams: 'event upstream_cut',
    },
    'a stream without [DONE]': {simulate: {do: 'noDone'}, plain: 'ok', streams: 'cut'},
    'a body that is not JSON': {simulate: {do: 'notJson'}, plain: 'malformed', streams: 'malformed'},
    'a body that ends early': {simulate: {do: 'truncated'}, plain: 'malformed', streams: 'cut'},
    'a body shorter than announced': {
      simulate: {do: 'wrongContentLength', extraBytes: 50},
      plain: 'cut',
      streams: 'cut',
    },
    'another finish': {
      simulate: {do: 'answer', finishReason: 'content_filter'},
      plain: 'malformed',
      streams: 'malformed',
    },
  };

  it.each(Object.entries(misbehaving))(
    'notices %s',
    async (_, {simulate, plain, streams}) => {
      const report = await against(simulator.url, {simulate, timeoutSeconds: 1});
      expect({plain: Object.keys(report.plain), streams: Object.keys(report.streams)}).toEqual({
        plain: [plain],
        streams: [streams],
      });
      expect(() => mustHaveNoFailures(report, 'it misbehaves', 0)).toThrow(/calls failed/);
      expect(report.failures.length).toBeGreaterThan(0);
      expect(Date.parse(report.lastFailureAt!)).toBeGreaterThanOrEqual(Date.parse(report.firstFailureAt!));
    },
    limitMs,
  );

  const dishonest: Record<string, Answer> = {
    'a token that is lost': says((tokens) => tokens.toSpliced(3, 1)),
    'a token that comes twice': says((tokens) => tokens.toSpliced(3, 0, tokens[2]!)),
    'tokens out of order': says((tokens) => tokens.toReversed()),
    'the last token lost': says((tokens) => tokens.slice(0, -1)),
    'the text of another call': says((tokens) => tokens.map((token) => token.replace(/\.\d+-/, '.0-'))),
    'a second answer after the first': says((tokens) => [...tokens, ...tokens]),
    'an end without finish_reason': says((tokens) => tokens, 'data: [DONE]\n\n'),
    'text after the finish_reason': says(
      (tokens) => tokens.slice(0, -1),
      `${chunk('', 'stop')}${chunk('more')}data: [DONE]\n\n`,
    ),
    'an event after [DONE]': says((tokens) => tokens, `${chunk('', 'stop')}data: [DONE]\n\n${chunk('more')}`),
    'a line that is no field': says((tokens) => tokens, `<html>\n${chunk('', 'stop')}data: [DONE]\n\n`),
    'a whole answer where a stream was asked for': ({simulate}, response) => {
      response.writeHead(200, {'content-type': 'application/json'});
      const choices = [{index: 0, message: {content: simulate.text.join('')}, finish_reason: 'stop'}];
      response.end(JSON.stringify({object: 'chat.completion', choices}));
    },
  };

  it.each(Object.entries(dishonest))(
    'notices in a stream %s',
    async (_, answer) => {
      const report = await against(await serve(answer), {plainPerSecond: 0});
      expect(Object.keys(report.streams)).toEqual(['malformed']);
    },
    limitMs,
  );

  it(
    'finds a well-formed stream whole, so that what it notices is not the form',
    async () => {
      const report = await against(await serve(says((tokens) => tokens)), {plainPerSecond: 0});
      expect(Object.keys(report.streams)).toEqual(['ok']);
    },
    limitMs,
  );

  it(
    'counts where nobody listens, and a name that nobody has, as failures to connect',
    async () => {
      const gone = await serve(() => {});
      server?.close();
      const report = await against(gone);
      expect([Object.keys(report.plain), Object.keys(report.streams)]).toEqual([['connect'], ['connect']]);
      const unnamed = await against('http://no-such-name.invalid/v1', {dns: new URL(gone).host});
      expect(Object.keys(unnamed.streams)).toEqual(['connect']);
    },
    limitMs,
  );

  it(
    'opens connections anew where a server closes them, and fails no call by it',
    async () => {
      const closing: Answer = (asked, response) => {
        response.setHeader('connection', 'close');
        says((tokens) => tokens)(asked, response);
      };
      const report = await against(await serve(closing), {plainPerSecond: 0});
      expect(report.failed).toBe(0);
      expect(report.connections.opened).toBe(report.ok);
    },
    limitMs,
  );

  it(
    'does not ask twice: a call on a kept connection that is reset is a failed call',
    async () => {
      const simulate = {do: 'closeIdle', onNextRequest: true};
      const report = await against(simulator.url, {simulate, streams: 1, plainPerSecond: 0});
      expect(report.streams['ok']).toBeGreaterThan(0);
      expect(report.streams['cut']).toBeGreaterThan(0);
    },
    limitMs,
  );

  it(
    'goes on until it is stopped, and lets what runs come to its end',
    async () => {
      const abortedBefore = simulator.aborted();
      const load = startLoad({url: simulator.url, ...short});
      await flow(load, 5);
      const report = await load.stop();
      expect(report.failed).toBe(0);
      expect(report.ok).toBeGreaterThanOrEqual(5);
      expect(simulator.aborted()).toBe(abortedBefore);
    },
    limitMs,
  );

  it(
    'reports what was whole until everything broke, and when that was',
    async () => {
      const own = await startSimulator({models: ['chat']});
      const load = startLoad({url: own.url, ...short});
      await flow(load, 5);
      const brokeAt = Date.now();
      await own.close();
      await flow(load, Infinity);
      const report = await load.stop();
      expect(report.ok).toBeGreaterThanOrEqual(5);
      expect(report.failed).toBeGreaterThan(0);
      expect(Date.parse(report.firstFailureAt!)).toBeGreaterThanOrEqual(brokeAt);
      expect(() => mustHaveNoFailures(report, 'the server has gone')).toThrow(/the server has gone: \d+ of \d+/);
    },
    limitMs,
  );

  it(
    'says when the first answer was whole, and what came instead if none was',
    async () => {
      const before = Date.now();
      const {atMs} = await firstAnswer({url: simulator.url, withinSeconds: 10});
      expect(atMs).toBeGreaterThanOrEqual(before);
      await expect(
        firstAnswer({url: simulator.url, withinSeconds: 0.2, simulate: {do: 'status', status: 503}}),
      ).rejects.toThrow(/status 503/);
    },
    limitMs,
  );

  it(
    'fetches whatever the status',
    async () => {
      const {status, body} = await fetchFrom({url: `${simulator.origin}/control/nothing`});
      expect([status, body]).toEqual([404, expect.stringContaining('There is no /control/nothing')]);
      const told = await fetchFrom({url: `${simulator.origin}/control/behaviour`, body: {do: 'answer'}});
      expect(told.status).toBe(200);
    },
    limitMs,
  );
});
