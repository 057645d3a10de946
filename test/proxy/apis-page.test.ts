/** Every row of the table in docs/apis.md, held to what happens on real sockets. */
import {readFileSync} from 'node:fs';
import {createServer} from 'node:net';
import {afterEach, describe, expect, it} from '@jest/globals';
import type {Backend} from '../../operator/api/generated.ts';
import type {BehaviourInput, Simulator} from '../../simulator/index.ts';
import {until} from '../until.ts';
import {keeper, startHarness, startUpstream, type Harness} from './harness.ts';
import {podsBackend, podsOf} from './ladder.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

const page = readFileSync(new URL('../../docs/apis.md', import.meta.url), 'utf8');

type Row = {
  path: string;
  api: Backend['api'];
  streamed: string[];
  retried: string;
  failedOver: string;
  counted: string;
};

const rows = page
  .slice(0, page.indexOf('\n## '))
  .split('\n')
  .flatMap((line): Row[] => {
    const [, name = '', backends, streamed = '', retried = '', failedOver = '', counted = ''] = line
      .split('|')
      .map((cell) => cell.trim());
    const path = /`POST (\S+)`/.exec(name)?.[1]?.replace('…', 'some/thing');
    if (path === undefined) return []; // realtime has tests of its own
    const api = backends === 'Anthropic' ? 'Anthropic' : 'OpenAI';
    return [{path, api, streamed: streamed.split(', '), retried, failedOver, counted}];
  });

const messages = [{role: 'user', content: 'Hi'}];

const bodies: Record<string, object> = {
  '/v1/chat/completions': {messages},
  '/v1/completions': {prompt: 'Hi'},
  '/v1/responses': {input: 'Hi'},
  '/v1/messages': {messages, max_tokens: 9},
  '/v1/messages/count_tokens': {messages},
  '/v1/embeddings': {input: 'Hi'},
  '/v1/rerank': {query: 'Hi', documents: ['Ho']},
  '/v1/score': {text_1: 'Hi', text_2: 'Ho'},
  '/v1/tokenize': {prompt: 'Hi'},
  '/v1/audio/speech': {input: 'Hi there', voice: 'alloy'},
  '/v1/images/generations': {prompt: 'Hi', partial_images: 1},
  '/v1/moderations': {input: 'Hi'},
  '/v1/some/thing': {},
};

const file = new File([new Uint8Array(2_000)], 'file.bin');

const forms: Record<string, Record<string, string | File>> = {
  '/v1/audio/transcriptions': {file},
  '/v1/audio/translations': {file},
  '/v1/images/edits': {image: file, prompt: 'Hi'},
  '/v1/images/variations': {image: file},
};

type Fields = Record<string, string | boolean>;

const jsonFor = (path: string, fields: Fields = {}): string =>
  JSON.stringify({model: 'chat', ...bodies[path], ...fields});

function requestFor(path: string, fields: Fields): RequestInit {
  const form = forms[path];
  if (form === undefined)
    return {
      method: 'POST',
      headers: {'content-type': 'application/json'},
      body: jsonFor(path, fields),
    };
  const body = new FormData();
  for (const [name, value] of Object.entries({model: 'chat', ...form, ...fields}))
    body.append(name, typeof value === 'boolean' ? String(value) : value);
  return {method: 'POST', body};
}

const held: Response[] = []; // fetch breaks off what nobody holds

async function ask(proxy: Harness, path: string, fields: Fields = {}): Promise<Response> {
  const response = await fetch(`${proxy.url}${path}`, requestFor(path, fields));
  held.push(response);
  return response;
}

/** The simulator answers what it knows; of what it does not know it is told. */
const properAnswer = (path: string): BehaviourInput =>
  path === '/v1/some/thing'
    ? {do: 'raw', headers: {'content-type': 'application/json'}, chunks: [{text: '{}'}]}
    : {do: 'answer'};

type Route = {proxy: Harness; pods: Simulator[]; cloud: Simulator};

/** Two pods on the first rung, one server on the next. */
async function start({path, api}: Row): Promise<Route> {
  const pods = [await keep(startUpstream()), await keep(startUpstream())];
  const cloud = await keep(startUpstream());
  for (const each of [...pods, cloud]) each.behave(properAnswer(path));
  const kind = api === undefined ? {} : {api};
  const backends = [podsBackend(pods, kind), {name: 'cloud', url: cloud.url, priority: 1, ...kind}];
  return {pods, cloud, proxy: await keep(startHarness({routes: {backends}, slices: podsOf(pods)}))};
}

const told = async (response: Response): Promise<object> => {
  await response.arrayBuffer();
  return {
    status: response.status,
    backend: response.headers.get('x-modelroute-backend'),
    attempts: Number(response.headers.get('x-modelroute-attempts')),
  };
};

/** A port on which nobody listens any more. */
const closedPort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' ? (address?.port ?? 0) : 0));
    });
  });

const bufferedBytes = async ({admin}: Harness): Promise<number> =>
  Number(/^modelroute_buffered_bytes (\d+)/m.exec(await (await fetch(`${admin}/metrics`)).text())?.[1]);

const canAsk: Record<string, Fields> = {events: {stream: true, stream_format: 'sse'}, bytes: {}};

describe.each(rows.map((row) => [row.path, row] as const))('POST %s', (path, row) => {
  const {api, streamed, retried, failedOver, counted} = row;

  it(`is retried: ${retried}`, async () => {
    const {proxy, pods} = await start(row);
    let failures = 1;
    for (const pod of pods) pod.behave(() => (failures-- > 0 ? {do: 'status', status: 500} : properAnswer(path)));
    const expected = {
      yes: {status: 200, backend: 'pods', attempts: 2},
      no: {status: 502, backend: 'pods', attempts: 1},
    };
    expect(await told(await ask(proxy, path))).toEqual(expected[retried as keyof typeof expected]);
  });

  it(`is failed over: ${failedOver}`, async () => {
    const {proxy, pods, cloud} = await start(row);
    for (const pod of pods) pod.behave({do: 'status', status: 500});
    const {status, backend} = (await told(await ask(proxy, path))) as {status: number; backend: string};
    if (failedOver === 'yes') return expect([status, backend]).toEqual([200, 'cloud']);
    expect(failedOver).toBe('if it was not sent');
    expect([status, backend]).toEqual([502, 'pods']);

    const kind = api === undefined ? {} : {api};
    const unreachable = await keep(
      startHarness({
        routes: {
          backends: [
            {name: 'gone', url: `http://127.0.0.1:${await closedPort()}/v1`, ...kind},
            {name: 'cloud', url: cloud.url, priority: 1, ...kind},
          ],
        },
      }),
    );
    expect(await told(await ask(unreachable, path))).toEqual({status: 200, backend: 'cloud', attempts: 2});
  });

  it(`is counted: ${counted}`, async () => {
    const {proxy} = await start(row);
    expect(await told(await ask(proxy, path))).toMatchObject({status: 200});
    await until(() => proxy.requests().length === 1, 'the log line');
    expect('promptTokens' in proxy.requests()[0]!).toBe(counted === 'yes');
    expect(/modelroute_tokens_total\{/.test(await (await fetch(`${proxy.admin}/metrics`)).text())).toBe(
      counted === 'yes',
    );
  });

  it(`is streamed: ${streamed.join(', ')}`, async () => {
    for (const shape of ['events', 'bytes']) {
      const {proxy, pods} = await start(row);
      const type = shape === 'events' ? 'text/event-stream' : 'audio/mpeg';
      const text = begun[path] ?? 'begun';
      for (const pod of pods) pod.behave({do: 'raw', headers: {'content-type': type}, chunks: [{text}], end: 'Hang'});
      let hasBegun = false;
      const asking = ask(proxy, path, canAsk[shape]).then((response) => {
        hasBegun = true;
        return response;
      });
      if (streamed.includes('bytes') || streamed.includes(shape)) {
        const response = await asking;
        expect([shape, response.status, response.headers.get('content-type')]).toEqual([shape, 200, type]);
        const reader = response.body!.getReader();
        expect(Buffer.from((await reader.read()).value as Uint8Array).toString()).toBe(text);
        await reader.cancel();
        if (shape === 'bytes') continue;
        // A stream that ends without its end: who reads the events can tell.
        for (const pod of pods) pod.behave({do: 'raw', headers: {'content-type': type}, chunks: [{text}], end: 'End'});
        const whole = await (await ask(proxy, path, canAsk[shape])).text();
        expect([whole.startsWith(text), whole.includes('stream_cut')]).toEqual([true, streamed.includes('events')]);
      } else {
        asking.catch(() => {}); // the test ends before it
        const sent = jsonFor(path, canAsk[shape]).length;
        await until(async () => (await bufferedBytes(proxy)) === sent + text.length, 'what has come is held');
        expect([shape, hasBegun]).toEqual([shape, false]);
      }
    }
  });
});

/** Content of the API's streams. */
const begun: Record<string, string> = {
  '/v1/chat/completions': 'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n',
  '/v1/completions': 'data: {"choices":[{"text":"Hi"}]}\n\n',
  '/v1/responses': 'data: {"type":"response.output_text.delta","delta":"Hi"}\n\n',
  '/v1/messages': 'data: {"type":"content_block_delta","delta":{"text":"Hi"}}\n\n',
  '/v1/audio/speech': 'data: {"type":"speech.audio.delta","audio":"AAAA"}\n\n',
  '/v1/images/generations': 'data: {"type":"image_generation.partial_image","b64_json":"AAAA"}\n\n',
  '/v1/audio/transcriptions': 'data: {"type":"transcript.text.delta","delta":"Hi"}\n\n',
  '/v1/images/edits': 'data: {"type":"image_edit.partial_image","b64_json":"AAAA"}\n\n',
};
