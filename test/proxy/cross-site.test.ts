/** What browsers send for any page, unasked: forms and WebSockets. Only the pages of the host that is called may. */
import {afterEach, describe, expect, it} from '@jest/globals';
import {exampleForm, postForm, startFormBackend, transcript, type FormBackend} from './form-backend.ts';
import {chatBody, keeper, post, startHarness, startUpstream, type Harness} from './harness.ts';
import type {ErrorAnswer} from './raw-caller.ts';
import {openRealtime, startRealtimeBackend, type Opened, type RealtimeBackend} from './realtime-backend.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

const startProxy = (url: string): Promise<Harness> => keep(startHarness({routes: {backends: [{name: 'local', url}]}}));

async function forForms(): Promise<{backend: FormBackend; proxy: Harness}> {
  const backend = await keep(startFormBackend(transcript));
  return {backend, proxy: await startProxy(backend.url)};
}

async function forSessions(): Promise<{backend: RealtimeBackend; proxy: Harness}> {
  const backend = await keep(startRealtimeBackend());
  return {backend, proxy: await startProxy(backend.url)};
}

const open = (proxy: Harness, headers: Record<string, string>): Promise<Opened> =>
  keep(openRealtime(proxy.port, {options: {headers}}));

type Headers = Record<string, string>;

const foreign: [string, Headers][] = [
  ['sec-fetch-site: cross-site', {'sec-fetch-site': 'cross-site'}],
  ['an origin elsewhere', {origin: 'https://page.example'}],
  ['an origin that begins like the host', {origin: 'http://127.0.0.1.page.example'}],
  ['an origin that names the host as its user', {origin: 'http://127.0.0.1@page.example'}],
  ['the origin of a file or of a sandbox', {origin: 'null'}],
  ['an origin that is none', {origin: 'http://'}],
];

const own = (port: number): [string, Headers][] => [
  ['neither', {}],
  ['its own origin', {origin: `http://127.0.0.1:${port}`}],
  ['its own origin, and saying so', {origin: `http://127.0.0.1:${port}`, 'sec-fetch-site': 'same-origin'}],
  ['sec-fetch-site: none', {'sec-fetch-site': 'none'}],
];

describe('a form of a page', () => {
  it.each(foreign)('with %s is refused, and reaches no backend', async (_, headers) => {
    const {backend, proxy} = await forForms();
    const answer = await postForm(proxy.url, exampleForm(), {headers});
    const {error} = (await answer.json()) as ErrorAnswer;
    expect([answer.status, error.code]).toEqual([403, 'cross_site']);
    expect(backend.arrivals).toHaveLength(0);
  });

  it('with its own origin, or with none, is carried', async () => {
    const {backend, proxy} = await forForms();
    for (const [name, headers] of own(proxy.port))
      expect([name, (await postForm(proxy.url, exampleForm(), {headers})).status]).toEqual([name, 200]);
    expect(backend.arrivals).toHaveLength(own(0).length);
  });
});

describe('a handshake of a page', () => {
  it.each(foreign)('with %s is refused, and reaches no backend', async (_, headers) => {
    const {backend, proxy} = await forSessions();
    const answer = await open(proxy, headers);
    expect([answer.status, (JSON.parse(answer.body) as ErrorAnswer).error.code]).toEqual([403, 'cross_site']);
    expect(backend.handshakes).toHaveLength(0);
  });

  it('with its own origin, or with none, is carried', async () => {
    const {backend, proxy} = await forSessions();
    for (const [name, headers] of own(proxy.port))
      expect([name, (await open(proxy, headers)).status]).toEqual([name, 101]);
    expect(backend.handshakes.map(({headers}) => headers.origin)).toEqual(own(0).map(() => undefined));
  });

  it('is held to the host that was called, by name as by address', async () => {
    const {backend, proxy} = await forSessions();
    const host = 'models.example:8080';
    expect((await open(proxy, {host, origin: 'https://models.example:8080'})).status).toBe(101);
    expect((await open(proxy, {host, origin: 'https://other.example:8080'})).status).toBe(403);
    expect(backend.handshakes).toHaveLength(1);
  });
});

it('JSON of a page is carried: a browser asks before it sends that, and is not allowed to', async () => {
  const upstream = await keep(startUpstream());
  const proxy = await startProxy(upstream.url);
  const asked = await fetch(`${proxy.url}/v1/chat/completions`, {
    method: 'OPTIONS',
    headers: {origin: 'https://page.example', 'access-control-request-method': 'POST'},
  });
  expect(asked.headers.get('access-control-allow-origin')).toBeNull();
  expect(asked.ok).toBe(false);
  const headers = {origin: 'https://page.example'};
  expect((await post(proxy.url, chatBody(), {headers})).status).toBe(200);
  const simple = {...headers, 'content-type': 'text/plain'}; // a browser would send this unasked
  expect((await post(proxy.url, chatBody(), {headers: simple})).status).toBe(415);
});
