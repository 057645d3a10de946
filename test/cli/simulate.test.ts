import {spawn, type ChildProcess} from 'node:child_process';
import {once} from 'node:events';
import {Agent, request as httpRequest} from 'node:http';
import {createServer} from 'node:net';
import {afterEach, beforeEach, describe, expect, it} from '@jest/globals';
import {startSimulator, type BehaviourInput, type Simulator} from '../../simulator/index.ts';
import {start, type Exchange} from './exchange.ts';

const chat = {model: 'chat', messages: [{role: 'user', content: 'Hello there'}]};
const streamedChat = {...chat, stream: true};

const until = async (condition: () => boolean): Promise<void> => {
  const giveUpAt = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > giveUpAt) throw new Error(`never became true: ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
};

type Chunk = {
  choices: {delta: {content?: string}; text?: string; finish_reason: string | null}[];
  error?: object;
  usage?: object;
};

const dataOf = (text: string): string[] => [...text.matchAll(/^data: (.*)$/gm)].map((match) => match[1] ?? '');
const chunksOf = (text: string): Chunk[] =>
  dataOf(text)
    .filter((data) => data !== '[DONE]')
    .map((data) => JSON.parse(data) as Chunk);
const contentOf = (text: string): string =>
  chunksOf(text)
    .map((chunk) => chunk.choices?.[0]?.delta.content ?? '')
    .join('');

let simulator: Simulator;
beforeEach(async () => {
  simulator = await startSimulator({models: ['chat', 'org/other'], name: 'local', tokens: 8, contextWindow: 1000});
});
afterEach(() => simulator.close());

const ask = async (body: unknown, options: Parameters<typeof start>[2] & {path?: string} = {}): Promise<Exchange> => {
  const exchange = start(`${simulator.url}${options.path ?? '/chat/completions'}`, body, options);
  await exchange.ended;
  return exchange;
};
const withBehaviour = (behaviour: BehaviourInput): object => ({...chat, simulate: behaviour});
const streamedWith = (behaviour: BehaviourInput): object => ({...streamedChat, simulate: behaviour});
/** Begins an exchange that will not end by itself. */
const begin = (body: unknown): Exchange => start(`${simulator.url}/chat/completions`, body);
/** Whatever the simulator's JSON may hold; what a test expects of it says which. */
type Json = {
  id: string;
  choices: {
    index: number;
    message: {content: string; tool_calls: {function: {name: string}}[]};
    finish_reason: string;
  }[];
  data: {id: string; embedding: number[] | string}[];
  usage: object;
  error: {message: string; code: string};
};
const json = (exchange: Exchange): Json => JSON.parse(exchange.text) as Json;

describe('the APIs of the simulator', () => {
  it('answer a chat, the same each time', async () => {
    const first = json(await ask(chat));
    expect(first).toMatchObject({
      id: expect.stringMatching(/^chatcmpl-[0-9a-f]{32}$/),
      object: 'chat.completion',
      model: 'chat',
      choices: [
        {
          index: 0,
          message: {role: 'assistant', content: expect.stringMatching(/^Hello from local\. The .*\.$/)},
          finish_reason: 'stop',
        },
      ],
      usage: {prompt_tokens: 3, completion_tokens: 8, total_tokens: 11},
    });
    expect(json(await ask(chat)).choices).toEqual(first.choices);
  });

  it('stream the same words, and end with [DONE]', async () => {
    const plain = json(await ask(chat));
    const streamed = await ask(streamedChat);
    expect(streamed.headers['content-type']).toBe('text/event-stream; charset=utf-8');
    expect(contentOf(streamed.text)).toBe(plain.choices[0]!.message.content);
    expect(dataOf(streamed.text).at(-1)).toBe('[DONE]');
  });

  it('call the tool that the request names', async () => {
    const tools = [
      {type: 'function', function: {name: 'a'}},
      {type: 'function', function: {name: 'b'}},
    ];
    const answer = json(await ask({...chat, tools, tool_choice: {type: 'function', function: {name: 'b'}}}));
    expect(answer.choices[0]).toMatchObject({
      finish_reason: 'tool_calls',
      message: {content: null, tool_calls: [{type: 'function', function: {name: 'b', arguments: '{}'}}]},
    });
    expect(json(await ask({...chat, tools})).choices[0]!.finish_reason).toBe('stop');
    const messages = [{role: 'user', content: 'Please call the tool.'}];
    expect(json(await ask({...chat, tools, messages})).choices[0]!.message.tool_calls[0]!.function.name).toBe('a');
  });

  it('keep to a JSON schema', async () => {
    const schema = {type: 'object', properties: {ok: {type: 'boolean'}}, required: ['ok']};
    const response_format = {type: 'json_schema', json_schema: {name: 'answer', schema}};
    expect(json(await ask({...chat, response_format})).choices[0]!.message.content).toBe('{"ok":true}');
    const answer = json(await ask({...chat, response_format: {type: 'json_object'}}));
    expect(JSON.parse(answer.choices[0]!.message.content)).toEqual({answer: 'a sample'});
  });

  it('do not call the tool again with its result', async () => {
    const tools = [{type: 'function', function: {name: 'a'}}];
    const messages = [
      {role: 'user', content: 'Please call the tool.'},
      {role: 'tool', tool_call_id: 'call_1', content: 'done'},
    ];
    expect(json(await ask({...chat, tools, messages})).choices[0]!.finish_reason).toBe('stop');
  });

  it('complete n times per prompt, plain and streamed', async () => {
    const body = {model: 'chat', prompt: ['one', 'two'], n: 2, max_tokens: 2};
    const plain = json(await ask(body, {path: '/completions'}));
    expect(plain).toMatchObject({
      object: 'text_completion',
      id: expect.stringMatching(/^cmpl-/),
      usage: {completion_tokens: 8},
    });
    expect(plain.choices.map(({index}) => index)).toEqual([0, 1, 2, 3]);
    const streamed = await ask({...body, stream: true}, {path: '/completions'});
    const finishes = chunksOf(streamed.text).filter(({choices}) => choices[0]?.finish_reason === 'length');
    expect(finishes).toHaveLength(4);
  });

  it('embed: deterministic, of the length asked, as numbers or base64', async () => {
    const body = {model: 'chat', input: ['one', 'two', 'one'], dimensions: 8};
    const {data, usage} = json(await ask(body, {path: '/embeddings'}));
    expect(data.map(({embedding}) => embedding.length)).toEqual([8, 8, 8]);
    expect(data[0]!.embedding).toEqual(data[2]!.embedding);
    expect(data[0]!.embedding).not.toEqual(data[1]!.embedding);
    expect(usage).toEqual({prompt_tokens: 3, total_tokens: 3});
    const packed = json(await ask({...body, encoding_format: 'base64'}, {path: '/embeddings'}));
    const bytes = Uint8Array.from(Buffer.from(String(packed.data[0]!.embedding), 'base64'));
    expect([...new Float32Array(bytes.buffer)]).toEqual(data[0]!.embedding);
  });

  it('list their models', async () => {
    const list = json(await ask(undefined, {method: 'GET', path: '/models'}));
    expect(list.data.map(({id}) => id)).toEqual(['chat', 'org/other']);
    expect(json(await ask(undefined, {method: 'GET', path: '/models/org%2Fother'})).id).toBe('org/other');
    expect((await ask(undefined, {method: 'GET', path: '/models/nope'})).status).toBe(404);
  });

  it.each([
    ['an unknown model', '/chat/completions', {...chat, model: 'x'}, '404 model_not_found'],
    ['not JSON', '/chat/completions', '{"model', '400 invalid_json'],
    ['too long a prompt', '/completions', {model: 'chat', prompt: 'x'.repeat(4004)}, '400 context_length_exceeded'],
    ['too long an input', '/embeddings', {model: 'chat', input: 'x'.repeat(4004)}, '400 context_length_exceeded'],
    ['an unknown path', '/nowhere', {}, '404 unknown_url'],
  ])('refuse as OpenAI does: %s', async (_, path, body, expected) => {
    const refused = await ask(body, {path});
    expect(`${refused.status} ${json(refused).error.code}`).toBe(expected);
    expect(json(refused).error).toMatchObject({type: 'invalid_request_error', message: expect.any(String)});
  });

  it('refuse a wrong method and answer health checks', async () => {
    const refused = await ask(undefined, {method: 'GET'});
    expect([refused.status, refused.headers.allow]).toEqual([405, 'POST']);
    expect(await (await fetch(`${simulator.origin}/health`)).json()).toEqual({status: 'ok'});
  });
});

describe('a behaviour on the wire', () => {
  it('status: with its body and headers', async () => {
    const limited = await ask(withBehaviour({do: 'status', status: 429, headers: {'Retry-After': '7'}}));
    expect([limited.status, limited.headers['retry-after']]).toEqual([429, '7']);
    expect(json(limited).error.code).toBe('rate_limit_exceeded');
    const own = await ask(
      withBehaviour({do: 'status', status: 502, body: '<html>', headers: {'content-type': 'text/html'}}),
    );
    expect([own.status, own.text, own.headers['content-type']]).toEqual([502, '<html>', 'text/html']);
    expect(json(await ask(withBehaviour({do: 'status', status: 500, body: {detail: 1}})))).toEqual({detail: 1});
  });

  it('hang before headers: nothing comes, until the caller leaves', async () => {
    const exchange = begin(withBehaviour({do: 'hang'}));
    await until(() => simulator.requests()[0]?.body !== undefined);
    expect([exchange.status, simulator.activeRequests()]).toEqual([undefined, 1]);
    exchange.leave();
    await until(() => simulator.aborted() === 1);
    expect(simulator.requests()[0]).toMatchObject({callerLeft: true, status: undefined});
  });

  it('hang before the first token: headers and not one byte', async () => {
    const exchange = begin(streamedWith({do: 'hang', where: 'BeforeFirstToken'}));
    await until(() => exchange.status === 200);
    expect([exchange.text, exchange.state]).toEqual(['', 'Open']);
    exchange.leave();
    await until(() => simulator.openConnections() === 0);
  });

  it.each([streamedChat, chat])('hang after tokens: %j', async (body) => {
    const exchange = begin({...body, simulate: {do: 'hang', where: 'AfterTokens', tokens: 2}});
    await until(() => exchange.text !== '' && (!('stream' in body) || contentOf(exchange.text) === 'Hello from'));
    expect(exchange.state).toBe('Open');
    exchange.leave();
    await until(() => simulator.aborted() === 1);
  });

  it('roleOnly: the role, then silence', async () => {
    const exchange = begin(streamedWith({do: 'roleOnly'}));
    await until(() => exchange.text.endsWith('\n\n'));
    expect(chunksOf(exchange.text)).toMatchObject([{choices: [{delta: {role: 'assistant', content: ''}}]}]);
    expect(exchange.state).toBe('Open');
    exchange.leave();
  });

  it('pings: comments and nothing else, or the answer after them', async () => {
    const exchange = begin(streamedWith({do: 'pings', intervalMs: 1}));
    await until(() => exchange.text.split(': ping\n\n').length > 5);
    expect(dataOf(exchange.text)).toEqual([]);
    exchange.leave();
    await until(() => simulator.aborted() === 1);
    const answered = await ask(streamedWith({do: 'pings', intervalMs: 1, count: 2, thenAnswer: true}));
    expect(answered.text.startsWith(': ping\n\n: ping\n\ndata: ')).toBe(true);
    expect(dataOf(answered.text).at(-1)).toBe('[DONE]');
  });

  it.each(['BeforeHeaders', 'BeforeFirstToken', 'AfterTokens'] as const)('reset %s', async (where) => {
    const exchange = await ask(streamedWith({do: 'reset', where, tokens: 3}));
    expect(exchange.state).toBe('ECONNRESET');
    expect(exchange.status).toBe(where === 'BeforeHeaders' ? undefined : 200);
    expect(contentOf(exchange.text)).toBe(where === 'AfterTokens' ? 'Hello from local' : '');
    expect(simulator.aborted()).toBe(0);
  });

  it('cut: after tokens or bytes, the body not ended', async () => {
    const afterTokens = await ask(streamedWith({do: 'cut', afterTokens: 2}));
    expect([contentOf(afterTokens.text), afterTokens.state]).toEqual(['Hello from', 'ECONNRESET']);
    const afterBytes = await ask(streamedWith({do: 'cut', afterBytes: 11}));
    expect([afterBytes.text, afterBytes.state]).toEqual(['data: {"id"', 'ECONNRESET']);
    const plain = await ask(withBehaviour({do: 'cut'}));
    expect([Number(plain.headers['content-length']) > plain.text.length, plain.state]).toEqual([true, 'ECONNRESET']);
    expect(simulator.aborted()).toBe(0);
  });

  it('cut gracefully: HTTP is whole, the answer is not', async () => {
    const streamed = await ask(streamedWith({do: 'cut', afterTokens: 2, graceful: true}));
    expect([contentOf(streamed.text), streamed.state]).toEqual(['Hello from', 'Complete']);
    expect(streamed.text).not.toMatch(/DONE|"stop"/);
    const plain = await ask(withBehaviour({do: 'cut', graceful: true}));
    expect(plain.state).toBe('Complete');
    expect(() => json(plain)).toThrow(SyntaxError);
  });

  it('malformedEvent: one event that is no JSON, between good ones', async () => {
    const data = dataOf((await ask(streamedWith({do: 'malformedEvent', afterTokens: 2}))).text);
    expect(data.filter((text) => text.endsWith('{"cont'))).toEqual([data[3]]);
    expect(data.at(-1)).toBe('[DONE]');
  });

  it('errorEvent: an error inside the 200 ends it', async () => {
    const error = {message: 'boom', code: 500};
    const exchange = await ask(streamedWith({do: 'errorEvent', afterTokens: 1, error}));
    expect([exchange.status, exchange.state, chunksOf(exchange.text).at(-1)]).toEqual([200, 'Complete', {error}]);
    const done = await ask(streamedWith({do: 'errorEvent', afterTokens: 0, done: true}));
    expect(dataOf(done.text).slice(1)).toEqual([expect.stringContaining('"error"'), '[DONE]']);
  });

  it('noDone: the finish, and no [DONE]; the connection ends or stays open', async () => {
    const closed = await ask(streamedWith({do: 'noDone'}));
    expect([chunksOf(closed.text).at(-1)?.choices[0]?.finish_reason, closed.state]).toEqual(['stop', 'Complete']);
    expect(closed.text).not.toContain('DONE');
    const open = begin(streamedWith({do: 'noDone', keepOpen: true}));
    await until(() => open.text.includes('"stop"'));
    expect(open.state).toBe('Open');
    open.leave();
  });

  it('wrongContentLength: more announced than comes', async () => {
    const exchange = await ask(withBehaviour({do: 'wrongContentLength', extraBytes: 5}));
    expect(Number(exchange.headers['content-length'])).toBe(exchange.text.length + 5);
    expect(exchange.state).toBe('ECONNRESET');
  });

  it('slowBytes: the same bytes in small pieces, also inside a character', async () => {
    const exchange = await ask(
      streamedWith({do: 'slowBytes', chunkBytes: 3, intervalMs: 0.2, text: ['\u{1F600}\u{1F601}']}),
    );
    expect(contentOf(exchange.text)).toBe('\u{1F600}\u{1F601}');
    expect(exchange.chunkSizes.length).toBeGreaterThan(20);
  });

  it('hugeEvent: all of it in one event', async () => {
    const exchange = await ask(streamedWith({do: 'hugeEvent', bytes: 1_000_000}));
    expect(chunksOf(exchange.text)[1]?.choices[0]?.delta.content).toHaveLength(1_000_000);
  });

  it('notJson and truncated: HTTP whole, JSON not', async () => {
    const html = await ask(withBehaviour({do: 'notJson'}));
    expect([html.status, html.headers['content-type'], html.text.startsWith('<html>')]).toEqual([
      200,
      'application/json',
      true,
    ]);
    const truncated = await ask(withBehaviour({do: 'truncated'}));
    expect([truncated.status, truncated.state]).toEqual([200, 'Complete']);
    expect(() => json(truncated)).toThrow(SyntaxError);
    const stream = await ask(streamedWith({do: 'truncated'}));
    expect([stream.state, stream.text.includes('DONE')]).toEqual(['Complete', false]);
  });

  it('delay: the headers come later', async () => {
    const startedAt = performance.now();
    expect((await ask(withBehaviour({do: 'delay', ms: 60}))).status).toBe(200);
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(58);
  });

  it('closeIdle: the kept-alive connection closes unannounced', async () => {
    const agent = new Agent({keepAlive: true});
    const exchange = await ask(withBehaviour({do: 'closeIdle'}), {agent});
    expect([exchange.state, exchange.headers.connection]).toEqual(['Complete', 'keep-alive']);
    await until(() => simulator.openConnections() === 0);
    agent.destroy();
  });

  it('closeIdle on the next request: a reset on the reused connection, and a new one works', async () => {
    const agent = new Agent({keepAlive: true, maxSockets: 1});
    await ask(withBehaviour({do: 'closeIdle', onNextRequest: true}), {agent});
    expect((await ask(chat, {agent})).state).toBe('ECONNRESET');
    const retried = await ask(chat, {agent});
    expect([retried.status, retried.socketReused]).toEqual([200, false]);
    expect(simulator.requests().map(({connection}) => connection)).toEqual([1, 1, 2]);
    expect(simulator.totalConnections()).toBe(2);
    agent.destroy();
  });

  it.each([
    ['End', 'Complete'],
    ['Cut', 'ECONNRESET'],
    ['Reset', 'ECONNRESET'],
  ] as const)('raw: exactly these bytes, then %s', async (end, state) => {
    const chunks = [{text: 'data: 1\r\n'}, {base64: Buffer.from('\r\ndata: é').toString('base64'), afterMs: 2}];
    const exchange = await ask(withBehaviour({do: 'raw', status: 206, headers: {'X-Own': 'a'}, chunks, end}));
    expect([exchange.status, exchange.headers['x-own'], exchange.text, exchange.state]).toEqual([
      206,
      'a',
      'data: 1\r\n\r\ndata: é',
      state,
    ]);
  });

  it('raw: on any path', async () => {
    const raw: BehaviourInput = {
      do: 'raw',
      status: 201,
      headers: {'content-type': 'text/plain'},
      chunks: [{text: 'a'}],
    };
    const exchange = await ask({model: 'chat', simulate: raw}, {path: '/never/heard/of'});
    expect([exchange.status, exchange.text]).toEqual([201, 'a']);
  });

  it('answer overrides: its length, its finish', async () => {
    const answer = json(await ask(withBehaviour({do: 'answer', answerTokens: 2, finishReason: 'content_filter'})));
    expect(answer.choices[0]).toMatchObject({message: {content: 'Hello from'}, finish_reason: 'content_filter'});
  });
});

describe('telling the simulator', () => {
  const tell = (body: unknown, method = 'POST'): Promise<Exchange> => {
    const exchange = start(`${simulator.origin}/control/behaviour`, body, {method});
    return exchange.ended.then(() => exchange);
  };
  const statuses = async (count: number): Promise<(number | undefined)[]> => {
    const seen: (number | undefined)[] = [];
    for (let asked = 0; asked < count; asked += 1) seen.push((await ask(chat)).status);
    return seen;
  };

  it('what the next requests get, in turn, then what all others get', async () => {
    await tell({do: 'status', status: 500});
    await tell({do: 'status', status: 503, times: 2});
    await tell({do: 'status', status: 429, times: 1});
    expect(await statuses(5)).toEqual([503, 503, 429, 500, 500]);
    await tell(undefined, 'DELETE');
    expect(await statuses(1)).toEqual([200]);
  });

  it('in the same process, also by a function of the request', async () => {
    simulator.behave(({body}) =>
      JSON.stringify(body).includes('stream_options') ? {do: 'status', status: 400} : undefined,
    );
    expect((await ask({...chat, stream_options: {}})).status).toBe(400);
    expect(await statuses(1)).toEqual([200]);
    simulator.behave({do: 'status', status: 503}, {times: 1});
    expect(await statuses(2)).toEqual([503, 200]);
    simulator.reset();
    expect([simulator.requests(), (await ask({...chat, stream_options: {}})).status]).toEqual([[], 200]);
    expect(() => simulator.behave({do: 'status', status: 1})).toThrow('status: ');
  });

  it('by a header, which goes before the body and before what it was told', async () => {
    await tell({do: 'status', status: 500});
    const headers = {'x-simulate': '{"do": "status", "status": 418}'};
    expect((await ask(withBehaviour({do: 'answer'}), {headers})).status).toBe(418);
    expect((await ask(withBehaviour({do: 'answer'}))).status).toBe(200);
  });

  it('something it does not understand is refused by its field, wherever it stands', async () => {
    const refused = await tell({do: 'cut', afterTokens: -1});
    expect([refused.status, json(refused).error.message]).toEqual([400, expect.stringMatching(/^afterTokens: /)]);
    expect((await tell('{')).status).toBe(400);
    const inHeader = await ask(chat, {headers: {'x-simulate': '{"do": "x"}'}});
    expect([inHeader.status, json(inHeader).error.message]).toEqual([
      400,
      expect.stringMatching(/^x-simulate: do: expected one of/),
    ]);
    expect(json(await ask(chat, {headers: {'x-simulate': 'hang'}})).error.message).toBe('x-simulate: not JSON');
    const inBody = await ask({...chat, simulate: {do: 'delay'}});
    expect([inBody.status, json(inBody).error.message]).toEqual([400, expect.stringMatching(/^simulate: ms: /)]);
    expect((await tell({}, 'PUT')).status).toBe(405);
  });

  it('and asking it: state, schema, and what it was asked', async () => {
    await ask(chat, {headers: {Authorization: 'Bearer x', 'X-Twice': 'a'}});
    await ask('not JSON');
    const read = async (path: string): Promise<unknown> => (await fetch(`${simulator.origin}${path}`)).json();
    const {requests} = (await read('/control/requests')) as {requests: {body: unknown}[]};
    expect(requests[0]).toMatchObject({
      number: 1,
      method: 'POST',
      path: '/v1/chat/completions',
      headers: {authorization: 'Bearer x'},
      rawHeaders: expect.arrayContaining(['X-Twice', 'a']),
      body: chat,
      status: 200,
      callerLeft: false,
    });
    expect(requests[1]?.body).toBe('not JSON');
    expect(await read('/control')).toMatchObject({name: 'local', requests: 2, activeRequests: 0, aborted: 0});
    expect(JSON.stringify(await read('/control/schema'))).toContain('Resets the TCP connection.');
    await fetch(`${simulator.origin}/control/requests`, {method: 'DELETE'});
    expect(simulator.requests()).toEqual([]);
  });

  it('an answer header that cannot be sent is an error, not the end', async () => {
    expect((await ask(withBehaviour({do: 'raw', headers: {'x-bad': 'a\nb'}}))).status).toBe(500);
    expect(await statuses(1)).toEqual([200]);
  });
});

describe('under load', () => {
  it('runs 500 streams at once, and stops them all when their callers leave', async () => {
    const pace: BehaviourInput = {do: 'answer', answerTokens: 10_000, tokensPerSecond: 2};
    const exchanges = Array.from({length: 500}, () => begin(streamedWith(pace)));
    await until(() => exchanges.every(({text}) => text.includes('Hello')));
    expect(simulator.activeRequests()).toBe(500);
    for (const exchange of exchanges) exchange.leave();
    await until(() => simulator.activeRequests() === 0 && simulator.openConnections() === 0);
    expect(simulator.aborted()).toBe(500);
  });

  it('waits for a caller who does not read, and stops when he leaves', async () => {
    const unlimited = await startSimulator({models: ['chat'], tokens: 900_000});
    const outgoing = httpRequest(`${unlimited.url}/chat/completions`, {method: 'POST'});
    outgoing.on('error', () => {});
    outgoing.end(JSON.stringify(streamedChat));
    const [incoming] = (await once(outgoing, 'response')) as [NodeJS.ReadableStream];
    incoming.pause();
    expect(unlimited.activeRequests()).toBe(1);
    outgoing.destroy();
    await until(() => unlimited.aborted() === 1 && unlimited.activeRequests() === 0);
    await unlimited.close();
  });

  it('keeps the latest 1,000 requests', async () => {
    const agent = new Agent({keepAlive: true, maxSockets: 20});
    await Promise.all(Array.from({length: 1010}, () => ask(withBehaviour({do: 'status', status: 204}), {agent})));
    expect([simulator.requests().length, simulator.requests()[0]?.number]).toEqual([1000, 11]);
    agent.destroy();
  });

  it('breaks off what runs when it is closed', async () => {
    const exchange = begin(streamedWith({do: 'roleOnly'}));
    await until(() => exchange.text !== '');
    await simulator.close();
    await exchange.ended;
    expect(exchange.state).toBe('ECONNRESET');
    expect(simulator.aborted()).toBe(0);
  });
});

describe('modelroute simulate', () => {
  const children: ChildProcess[] = [];
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
  });

  const source = new URL('../../cli/simulate.ts', import.meta.url).href;
  const run = (
    args: string[],
    env: Record<string, string> = {},
  ): {child: ChildProcess; output: () => string; exit: Promise<unknown[]>} => {
    const program = `import {simulateCommand} from ${JSON.stringify(source)}; await simulateCommand().parseAsync();`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program, '--', ...args], {
      env: {...process.env, ...env},
    });
    children.push(child);
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    return {child, output: () => output, exit: once(child, 'close')};
  };

  it('says where it is, serves, and ends with 0 when told to', async () => {
    const {child, output, exit} = run(['--listen', '127.0.0.1:0', '--name', 'demo', '--ttft', '1ms'], {
      MODELROUTE_MODEL: 'a,b',
      MODELROUTE_TOKENS: '4',
    });
    await until(() => output().includes('\n'));
    expect(output()).toMatch(
      /^Simulating a, b as "demo" on http:\/\/127\.0\.0\.1:\d+\/v1; to change what it does: curl .*\n$/,
    );
    const url = /on (\S+);/.exec(output())?.[1] ?? '';
    const exchange = start(`${url}/chat/completions`, {...chat, model: 'b'});
    await exchange.ended;
    expect(json(exchange).choices[0]!.message.content).toBe('Hello from demo.');
    child.kill('SIGTERM');
    expect(await exit).toEqual([0, null]);
  });

  it('says that its port is in use', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const address = other.address();
    const port = typeof address === 'object' ? address?.port : 0;
    const {output, exit} = run(['--listen', `127.0.0.1:${port}`, '--model', 'a']);
    expect(await exit).toEqual([1, null]);
    expect(output()).toBe(`error: port ${port} on 127.0.0.1 is in use: choose another one with --listen\n`);
    other.close();
  });

  it.each([
    [[], "required option '--model <name...>' not specified"],
    [['--model', ''], 'Expected a model name, got ""'],
    [['--model', 'a', '--ttft', '5'], 'Expected a duration, such as 500ms or 1m30s, got "5"'],
    [['--model', 'a', '--tokens', '-1'], 'Expected a whole number from 1 to 1000000, got "-1"'],
    [['--model', 'a', '--tokens-per-second', 'fast'], 'Expected a number, such as 100 (0: all at once), got "fast"'],
    [['--model', 'a', '--listen', 'here'], 'Expected HOST:PORT'],
  ])('refuses %j', async (args, message) => {
    const {output, exit} = run(args);
    expect(await exit).toEqual([1, null]);
    expect(output()).toContain(message);
  });
});
