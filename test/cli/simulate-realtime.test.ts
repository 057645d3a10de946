/** The simulator's realtime WebSocket: its sessions, its handshakes, and how both go wrong. */
import {once} from 'node:events';
import {request, type IncomingMessage} from 'node:http';
import {connect} from 'node:net';
import {afterEach, beforeEach, describe, expect, it} from '@jest/globals';
import {WebSocket} from 'ws';
import {startSimulator, type BehaviourInput, type Simulator} from '../../simulator/index.ts';
import {until} from '../until.ts';

let simulator: Simulator;
const callers: WebSocket[] = [];
beforeEach(async () => {
  simulator = await startSimulator({models: ['voice'], name: 'local', tokens: 4});
});
afterEach(async () => {
  for (const caller of callers.splice(0)) caller.terminate();
  await simulator.close();
});

type Event = {type: string} & Record<string, unknown>;
type Caller = {
  socket: WebSocket;
  events: Event[];
  types: () => string[];
  send: (event: object) => void;
  /** The code that it closed with. */
  closed: () => number | undefined;
  /** Of a handshake that was refused. */
  refusal: () => IncomingMessage | undefined;
};

const call = (query = '?model=voice', headers: Record<string, string> = {}): Caller => {
  const socket = new WebSocket(`${simulator.url.replace('http', 'ws')}/realtime${query}`, {headers});
  callers.push(socket);
  const events: Event[] = [];
  let code: number | undefined;
  let refusal: IncomingMessage | undefined;
  socket.on('message', (data: Buffer) => events.push(JSON.parse(data.toString('utf8')) as Event));
  socket.on('close', (closedWith) => {
    code = closedWith;
  });
  socket.on('error', () => {});
  socket.on('unexpected-response', (_, incoming) => {
    refusal = incoming;
    incoming.on('error', () => {});
  });
  return {
    socket,
    events,
    types: () => events.map(({type}) => type),
    send: (event) => socket.send(JSON.stringify(event)),
    closed: () => code,
    refusal: () => refusal,
  };
};

const greeted = async (caller: Caller): Promise<Caller> => {
  await until(() => caller.types().includes('session.created'), 'a session');
  return caller;
};

const item = {type: 'message', role: 'user', content: [{type: 'input_text', text: 'Hi there'}]};
const response = [
  'response.created',
  'response.output_item.added',
  'response.content_part.added',
  ...Array.from({length: 4}, () => 'response.output_text.delta'),
  'response.output_text.done',
  'response.content_part.done',
  'response.output_item.done',
  'response.done',
];

describe('a realtime session', () => {
  it('answers the events of a caller, and says nothing by itself', async () => {
    const caller = await greeted(call('?model=voice', {authorization: 'Bearer x'}));
    caller.send({type: 'session.update', session: {instructions: 'Be brief.'}});
    caller.send({type: 'conversation.item.create', item});
    caller.send({type: 'input_audio_buffer.append', audio: 'AAAA'});
    caller.send({type: 'response.create'});
    await until(() => caller.types().includes('response.done'), 'the whole response');
    expect(caller.types()).toEqual([
      'session.created',
      'session.updated',
      'conversation.item.added',
      'conversation.item.done',
      ...response,
    ]);
    expect(caller.events[0]).toMatchObject({session: {model: 'voice', object: 'realtime.session'}});
    expect(caller.events[1]).toMatchObject({session: {model: 'voice', instructions: 'Be brief.'}});
    expect(caller.events[2]).toMatchObject({item, previous_item_id: null});
    expect(caller.events.at(-1)).toMatchObject({
      response: {
        status: 'completed',
        output: [{role: 'assistant', content: [{type: 'output_text', text: 'Hello from local.'}]}],
        usage: {input_tokens: 3, output_tokens: 4, total_tokens: 7},
      },
    });
    expect(new Set(caller.events.map(({event_id}) => event_id)).size).toBe(caller.events.length);
    expect(simulator.requests()[0]).toMatchObject({
      method: 'GET',
      path: '/v1/realtime?model=voice',
      headers: {authorization: 'Bearer x', upgrade: 'websocket'},
    });
  });

  it('ends a response at its limit', async () => {
    const caller = await greeted(call());
    caller.send({type: 'response.create', response: {max_output_tokens: 2}});
    await until(() => caller.types().includes('response.done'), 'the response');
    expect(caller.events.at(-1)).toMatchObject({
      response: {status: 'incomplete', status_details: {reason: 'max_output_tokens'}},
    });
  });

  it.each([
    ['an unknown event', '{"type": "say", "event_id": "mine"}', {param: 'type', event_id: 'mine'}],
    ['no event', '{"kind": "say"}', {param: 'type'}],
    ['no JSON', 'say', {message: 'The event is not JSON.'}],
    ['an item that is not there', '{"type": "conversation.item.create"}', {param: 'item'}],
    ['the name of nothing', '{"type": "constructor"}', {param: 'type'}],
  ])('answers with an error to %s, and goes on', async (_, sent, error) => {
    const caller = await greeted(call());
    caller.socket.send(sent);
    await until(() => caller.types().includes('error'), 'an error');
    expect(caller.events[1]).toMatchObject({error: {type: 'invalid_request_error', ...error}});
    caller.send({type: 'session.update', session: {}});
    await until(() => caller.types().includes('session.updated'), 'an answer');
  });

  it('gives one response at a time, at its pace', async () => {
    simulator.behave({do: 'answer', tokensPerSecond: 20});
    const caller = await greeted(call());
    const startedAt = performance.now();
    caller.send({type: 'response.create'});
    caller.send({type: 'response.create'});
    await until(() => caller.types().includes('response.done'), 'a response');
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(145);
    expect(caller.types().filter((type) => type === 'error' || type === 'response.created')).toEqual([
      'response.created',
      'error',
    ]);
  });

  it('takes a frame of 10 MB', async () => {
    const caller = await greeted(call());
    const text = 'x'.repeat(10_000_000);
    caller.send({type: 'conversation.item.create', item: {...item, content: [{type: 'input_text', text}]}});
    await until(() => caller.types().includes('conversation.item.added'), 'the item');
    expect(JSON.stringify(caller.events[1])).toContain(text);
  });
});

describe('what the simulator counts of sessions', () => {
  it('is open until the caller says goodbye', async () => {
    const caller = await greeted(call());
    expect([simulator.activeRequests(), simulator.openConnections()]).toEqual([1, 1]);
    expect(simulator.requests()[0]).toMatchObject({status: undefined, endedAt: undefined});
    caller.socket.close();
    await until(() => simulator.activeRequests() === 0 && simulator.openConnections() === 0, 'the end');
    expect(simulator.requests()[0]).toMatchObject({status: 101, callerLeft: false, endedAt: expect.any(Number)});
    expect(simulator.aborted()).toBe(0);
  });

  it('is aborted when the caller just goes', async () => {
    const caller = await greeted(call());
    caller.socket.terminate();
    await until(() => simulator.aborted() === 1, 'noticed');
    expect([simulator.activeRequests(), simulator.requests()[0]?.callerLeft]).toEqual([0, true]);
  });

  it('ends when the simulator does', async () => {
    const caller = await greeted(call());
    await simulator.close();
    expect([simulator.activeRequests(), simulator.openConnections(), simulator.aborted()]).toEqual([0, 0, 0]);
    await until(() => caller.closed() === 1006, 'the caller sees it');
  });
});

describe('a session that goes wrong', () => {
  it.each<[string, BehaviourInput, number, number]>([
    ['cut after events', {do: 'cut', afterTokens: 3}, 3, 1006],
    ['cut at once', {do: 'cut', afterTokens: 0}, 0, 1006],
    ['closed as WebSockets are', {do: 'cut', afterTokens: 2, graceful: true}, 2, 1011],
    ['reset', {do: 'reset', where: 'AfterTokens', tokens: 2}, 2, 1006],
  ])('%s', async (_, behaviour, count, code) => {
    simulator.behave(behaviour, {times: 1});
    const caller = call();
    await once(caller.socket, 'open').catch(() => {});
    if (count > 1) caller.send({type: 'session.update', session: {}});
    if (count > 2) caller.send({type: 'response.create'});
    await until(() => caller.closed() === code, 'it is over');
    await until(() => simulator.activeRequests() === 0, 'the simulator knows');
    expect([caller.events.length, simulator.aborted()]).toEqual([count, 0]);
  });

  it('goes silent, and stays open', async () => {
    simulator.behave({do: 'hang', where: 'AfterTokens', tokens: 1}, {times: 1});
    const caller = await greeted(call());
    caller.send({type: 'session.update', session: {}});
    const other = await greeted(call());
    other.send({type: 'session.update', session: {}});
    await until(() => other.types().includes('session.updated'), 'the other has its answer');
    expect([caller.types(), caller.closed()]).toEqual([['session.created'], undefined]);
  });

  it('never says anything', async () => {
    simulator.behave({do: 'hang', where: 'BeforeFirstToken'});
    const caller = call();
    await once(caller.socket, 'open');
    expect([caller.events, simulator.activeRequests()]).toEqual([[], 1]);
  });
});

describe('a handshake', () => {
  it.each([
    ['an unknown model', '?model=x', 404],
    ['no model', '', 400],
  ])('is refused: %s', async (_, query, status) => {
    const caller = call(query);
    await until(() => caller.refusal()?.statusCode === status, 'a status');
    const chunks: Buffer[] = [];
    for await (const chunk of caller.refusal() ?? []) chunks.push(chunk as Buffer);
    expect(JSON.parse(Buffer.concat(chunks).toString('utf8'))).toMatchObject({error: {param: 'model'}});
    await until(() => simulator.openConnections() === 0, 'the connection has closed');
    expect(simulator.requests()[0]).toMatchObject({status, callerLeft: false});
    expect([simulator.activeRequests(), simulator.aborted()]).toEqual([0, 0]);
  });

  it.each([401, 429, 503])('is refused as told: %i', async (status) => {
    simulator.behave({do: 'status', status, headers: {'Retry-After': '7'}}, {times: 1});
    const caller = call();
    await until(() => caller.refusal()?.statusCode === status, 'a status');
    expect(caller.refusal()?.headers['retry-after']).toBe('7');
    await greeted(call());
  });

  it('is answered with what is no WebSocket', async () => {
    simulator.behave({do: 'raw', status: 200, chunks: [{text: 'hello'}]});
    const caller = call();
    await until(() => caller.refusal()?.statusCode === 200, 'a status');
  });

  it('hangs until the caller leaves', async () => {
    simulator.behave({do: 'hang'});
    const caller = call();
    await until(() => simulator.activeRequests() === 1, 'it has come');
    caller.socket.terminate();
    await until(() => simulator.aborted() === 1 && simulator.openConnections() === 0, 'it has gone');
    expect(simulator.requests()[0]).toMatchObject({status: undefined, callerLeft: true});
  });

  it('is reset', async () => {
    simulator.behave({do: 'reset'});
    const [error] = (await once(call().socket, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).toBe('ECONNRESET');
    await until(() => simulator.activeRequests() === 0, 'over');
    expect(simulator.aborted()).toBe(0);
  });

  it('comes late, unless the caller has left', async () => {
    simulator.behave({do: 'delay', ms: 60});
    const startedAt = performance.now();
    await greeted(call());
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(58);
    simulator.behave({do: 'delay', ms: 60_000});
    const caller = call();
    await until(() => simulator.activeRequests() === 2, 'it has come');
    caller.socket.terminate();
    await until(() => simulator.activeRequests() === 1 && simulator.aborted() === 1, 'it has gone');
  });

  it('brings its own behaviour, which must be one', async () => {
    const told = call('?model=voice', {'x-simulate': '{"do": "status", "status": 418}'});
    await until(() => told.refusal()?.statusCode === 418, 'a status');
    const wrong = call('?model=voice', {'x-simulate': '{"do": "explode"}'});
    await until(() => wrong.refusal()?.statusCode === 400, 'a status');
  });

  it('without a key is refused, and one without an upgrade is no handshake', async () => {
    const socket = connect(simulator.port, '127.0.0.1');
    socket.write(
      'GET /v1/realtime?model=voice HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
    );
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(answer.toString('latin1')).toMatch(/^HTTP\/1\.1 400 /);
    const plain = request(`${simulator.url}/realtime?model=voice`).end();
    const [incoming] = (await once(plain, 'response')) as [IncomingMessage];
    incoming.resume();
    expect(incoming.statusCode).toBe(404);
    await until(() => simulator.activeRequests() === 0, 'nothing is left');
  });
});
