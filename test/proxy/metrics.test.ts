import {afterAll, beforeAll, describe, expect, it} from '@jest/globals';
import type {Simulator} from '../../simulator/index.ts';
import {until} from '../until.ts';
import {chatBody, keeper, post, startHarness, startUpstream, type Harness} from './harness.ts';

const {keep, closeAll} = keeper();
let upstream: Simulator;
let proxy: Harness;
let samples: Sample[];
let text: string;

type Sample = {name: string; labels: Record<string, string>; value: number};

/** Prometheus' text format, strictly: https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format */
function parse(page: string): Sample[] {
  const types = new Map<string, string>();
  const parsed: Sample[] = [];
  for (const line of page.split('\n').filter((each) => each !== '')) {
    const comment = /^# (TYPE|HELP|UNIT) ([a-z_]+) (.+)$/.exec(line);
    if (comment !== null) {
      if (comment[1] === 'TYPE') types.set(comment[2]!, comment[3]!);
      continue;
    }
    const sample = /^([a-z_]+)(?:\{(.*)\})? (-?[\d.e+-]+|\+Inf)$/.exec(line);
    if (sample === null) throw new Error(`no line of the text format: ${line}`);
    const family = [sample[1]!, sample[1]!.replace(/_(bucket|sum|count)$/, '')].find((name) => types.has(name));
    if (family === undefined) throw new Error(`a sample without a type: ${line}`);
    const labels = [...(sample[2] ?? '').matchAll(/([a-z_]+)="((?:[^"\\\n]|\\.)*)"(?:,|$)/g)].map(([, name, value]) => [
      name,
      value,
    ]);
    parsed.push({
      name: sample[1]!,
      labels: Object.fromEntries(labels) as Record<string, string>,
      value: Number(sample[3]),
    });
  }
  return parsed;
}

/** The one sample with these labels, among others. */
function value(name: string, labels: Record<string, string> = {}): number {
  const found = samples.filter(
    (sample) =>
      sample.name === name && Object.entries(labels).every(([label, wanted]) => sample.labels[label] === wanted),
  );
  expect(found).toHaveLength(1);
  return found[0]!.value;
}

const chat = {route: 'team-a/chat'};
const local = {...chat, backend: 'local'};
const strange = 'no-such-model-"\\\n';

const scrape = async (): Promise<string> => (await fetch(`${proxy.admin}/metrics`)).text();

beforeAll(async () => {
  upstream = await keep(startUpstream({ttftMs: 20, tokens: 5}));
  const broken = await keep(startUpstream());
  broken.behave({do: 'status', status: 500});
  proxy = await keep(
    startHarness({
      routes: {
        chat: {backends: [{name: 'local', url: upstream.url}]},
        broken: {
          backends: [{name: 'bad', url: broken.url}],
          retry: {maxAttempts: 2},
          circuitBreaker: {consecutiveFailures: 2, openDuration: '20s'},
        },
      },
    }),
  );
  const ask = async (fields: object = {}): Promise<unknown> => (await post(proxy.url, chatBody(fields))).text();
  for (let count = 0; count < 3; count += 1) await ask();
  for (let count = 0; count < 2; count += 1) await ask({stream: true});
  await ask({model: strange});
  await ask({model: 'broken'});
  await (await fetch(`${proxy.url}/nowhere/${encodeURIComponent(strange)}`)).text();
  upstream.behave({do: 'malformedEvent', afterTokens: 2, data: 'no json'}, {times: 1});
  await ask({stream: true});
  proxy.proxy.rejected({hash: '', reason: 'no JSON'});
  upstream.behave({do: 'hang', where: 'AfterTokens', tokens: 1}, {times: 1});
  const running = await post(proxy.url, chatBody({stream: true}));
  await until(() => proxy.requests().length === 9, 'eight have ended').catch(() => {});
  text = await scrape();
  samples = parse(text);
  await running.body?.cancel();
});
afterAll(closeAll);

describe('metrics', () => {
  it('count requests by status, errors by code', () => {
    expect(value('modelroute_requests_total', {...chat, api: 'chat', status: '200'})).toBe(6);
    expect(value('modelroute_requests_total', {route: 'team-a/broken', api: 'chat', status: '502'})).toBe(1);
    expect(value('modelroute_requests_total', {route: '', api: 'chat', status: '404'})).toBe(1);
    expect(value('modelroute_errors_total', {route: 'team-a/broken', code: 'backend_error'})).toBe(1);
    expect(value('modelroute_errors_total', {route: '', code: 'model_not_found'})).toBe(1);
    expect(value('modelroute_errors_total', {route: '', code: 'unknown_path'})).toBe(1);
    expect(
      samples.filter(({name, labels}) => name === 'modelroute_errors_total' && labels['route'] === chat.route),
    ).toEqual([]);
  });

  it('measure requests and first tokens in seconds', () => {
    expect(value('modelroute_request_duration_seconds_count', {...chat, api: 'chat'})).toBe(6);
    const sum = value('modelroute_request_duration_seconds_sum', {...chat, api: 'chat'});
    expect(sum).toBeGreaterThan(6 * 0.015);
    expect(sum).toBeLessThan(10);
    expect(value('modelroute_request_duration_seconds_bucket', {...chat, api: 'chat', le: '0.005'})).toBe(0);
    expect(value('modelroute_request_duration_seconds_bucket', {...chat, api: 'chat', le: '+Inf'})).toBe(6);
    expect(value('modelroute_time_to_first_token_seconds_count', local)).toBe(3);
    expect(value('modelroute_time_to_first_token_seconds_sum', local)).toBeGreaterThan(3 * 0.015);
  });

  it('count tokens as backends reported them', () => {
    expect(value('modelroute_tokens_total', {...local, type: 'completion', estimated: 'false'})).toBe(6 * 5);
    expect(value('modelroute_tokens_total', {...local, type: 'prompt', estimated: 'false'})).toBe(6);
  });

  it('count attempts, malformed events and refused configs', () => {
    expect(value('modelroute_attempts_total', chat)).toBe(6);
    expect(value('modelroute_attempts_total', {route: 'team-a/broken'})).toBe(2);
    expect(value('modelroute_malformed_events_total', local)).toBe(1);
    expect(value('modelroute_config_rejected_total')).toBe(1);
  });

  it('show what runs now', () => {
    expect(value('modelroute_requests_in_flight')).toBe(1);
    expect(value('modelroute_backend_in_flight', local)).toBe(1);
    expect(value('modelroute_backend_in_flight', {backend: 'bad'})).toBe(0);
    expect(value('modelroute_buffered_bytes')).toBe(chatBody({stream: true}).length);
    expect(value('modelroute_backend_endpoints', local)).toBe(1);
  });

  it('show breakers as 0 closed, 1 half-open, 2 open', () => {
    expect(value('modelroute_backend_breaker_state', local)).toBe(0);
    expect(value('modelroute_backend_breaker_state', {backend: 'bad'})).toBe(2);
  });

  it('have no label that a caller could fill', () => {
    expect(text).not.toContain('no-such-model');
    const labels = new Set(samples.flatMap((sample) => Object.keys(sample.labels)));
    expect([...labels].sort()).toEqual(['api', 'backend', 'code', 'estimated', 'le', 'route', 'status', 'type']);
  });
});
