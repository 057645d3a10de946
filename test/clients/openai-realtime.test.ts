/** The official client in a realtime session. It insists on `wss:`, so TLS ends in front of the proxy, as it does at an ingress. */
import {connect, type AddressInfo, type Socket} from 'node:net';
import {createServer} from 'node:tls';
import {afterEach, beforeEach, describe, expect, it} from '@jest/globals';
import OpenAI from 'openai';
import type {OpenAIRealtimeError} from 'openai/realtime/internal-base';
import {OpenAIRealtimeWS} from 'openai/realtime/ws';
import type {RealtimeServerEvent} from 'openai/resources/realtime/realtime';
import type {ClientOptions} from 'ws';
import type {Simulator} from '../../simulator/index.ts';
import {createCa, createCertificate} from '../proxy/certificates.ts';
import {keeper} from '../proxy/harness.ts';
import {until} from '../until.ts';
import {callersKey, expectNothingBlamed, onlyRequest, startField, type Field} from './field.ts';

const {keep, closeAll} = keeper();
let field: Field;
let upstream: Simulator;

beforeEach(async () => {
  field = await startField(keep);
  ({upstream} = field);
});
afterEach(() => field.settled().finally(closeAll));

const ca = createCa();
const {cert, key} = createCertificate('localhost', {names: ['localhost'], issuer: ca});

/** Ends TLS, and passes bytes. */
function startIngress(port: number): Promise<{port: number; close(): Promise<void>}> {
  const open = new Set<Socket>();
  const server = createServer({cert, key}, (outside) => {
    open.add(outside.once('close', () => open.delete(outside)));
    const inside = connect(port, '127.0.0.1');
    outside.on('error', () => inside.destroy()).once('close', () => inside.destroy());
    inside.on('error', () => outside.destroy()).once('close', () => outside.destroySoon());
    outside.pipe(inside).pipe(outside);
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address() as AddressInfo;
      resolve({
        port: address.port,
        close: () =>
          new Promise((closed) => {
            server.close(() => closed());
            for (const socket of open) socket.destroy();
          }),
      });
    });
  });
}

type Session = {
  realtime: OpenAIRealtimeWS;
  events: RealtimeServerEvent[];
  errors: OpenAIRealtimeError[];
  closed: () => number | undefined;
  until: (type: RealtimeServerEvent['type']) => Promise<void>;
};

function follow(realtime: OpenAIRealtimeWS): Session {
  const events: RealtimeServerEvent[] = [];
  const errors: OpenAIRealtimeError[] = [];
  let code: number | undefined;
  realtime.on('event', (event) => events.push(event));
  realtime.on('error', (error) => errors.push(error));
  realtime.socket.once('close', (closed) => (code = closed));
  return {
    realtime,
    events,
    errors,
    closed: () => code,
    until: (type) =>
      until(
        () => events.some((event) => event.type === type),
        `${type} after ${events.map((event) => event.type).join(', ')} ${errors.join()}`,
      ),
  };
}

/** Through an ingress. */
async function open(model = 'chat', options: ClientOptions = {}): Promise<Session> {
  const ingress = await keep(startIngress(field.proxy.port));
  const client = new OpenAI({baseURL: `https://localhost:${ingress.port}/v1`, apiKey: callersKey});
  return follow(new OpenAIRealtimeWS({model, options: {ca: ca.cert, ...options}}, client));
}

async function speak({realtime, events, until}: Session): Promise<string> {
  realtime.send({
    type: 'conversation.item.create',
    item: {type: 'message', role: 'user', content: [{type: 'input_text', text: 'Hi'}]},
  });
  realtime.send({type: 'response.create'});
  await until('response.done');
  return events.map((event) => (event.type === 'response.output_text.delta' ? event.delta : '')).join('');
}

describe('a realtime session of the openai client', () => {
  it('is updated, spoken in, and ended by its caller', async () => {
    const session = await open('pair');
    await session.until('session.created');
    session.realtime.send({type: 'session.update', session: {type: 'realtime', instructions: 'Be brief.'}});
    await session.until('session.updated');
    expect(await speak(session)).toContain('Hello from local');
    expect(session.events.find(({type}) => type === 'response.done')).toMatchObject({
      response: {status: 'completed', usage: {output_tokens: 8}},
    });
    session.realtime.close();
    await until(() => session.closed() !== undefined, 'the session is closed');
    expect(session.closed()).toBe(1000);
    expect(session.errors).toEqual([]);
    const {path, headers} = onlyRequest(upstream);
    expect(path).toBe('/v1/realtime?model=chat');
    expect(JSON.stringify(headers)).not.toContain(callersKey);
  });

  it('needs no TLS if the client is made to connect without', async () => {
    const client = new OpenAI({baseURL: `${field.proxy.url}/v1`, apiKey: callersKey});
    const options = {createConnection: () => connect(field.proxy.port, '127.0.0.1')};
    const session = follow(new OpenAIRealtimeWS({model: 'chat', options}, client));
    await session.until('session.created');
    expect(await speak(session)).toContain('Hello from local');
    session.realtime.close();
    await until(() => session.closed() === 1000, 'the session is closed');
  });

  it('hears of an error of the backend and goes on', async () => {
    const session = await open();
    await session.until('session.created');
    session.realtime.send({type: 'response.cancel'});
    await until(() => session.errors.length > 0, 'the error');
    expect(session.errors[0]).toMatchObject({error: {type: 'invalid_request_error', code: 'invalid_value'}});
    expect(await speak(session)).toContain('Hello from local');
    session.realtime.close();
    await until(() => session.closed() === 1000, 'the session is closed');
  });

  it.each([
    ['a model that nobody serves', 'nobody', {do: 'answer'}, 404],
    ['a backend that fails', 'chat', {do: 'status', status: 500}, 502],
  ] as const)('is refused for %s, with the status of our error', async (_, model, behaviour, status) => {
    upstream.behave(behaviour);
    const session = await open(model);
    await until(() => session.errors.length > 0, 'the refusal');
    expect(session.errors[0]?.message).toBe(`Unexpected server response: ${status}`);
    expect(session.events).toEqual([]);
  });

  it('whose backend dies ends with a close that is not a good one', async () => {
    upstream.behave({do: 'cut', afterTokens: 3});
    const session = await open();
    await session.until('session.created');
    session.realtime.send({type: 'response.create'});
    await until(() => session.closed() !== undefined, 'the session is closed');
    expect(session.closed()).toBe(1014);
    expect(session.events).toHaveLength(3);
  });

  it('that its caller drops is dropped at the backend', async () => {
    const session = await open();
    await session.until('session.created');
    session.realtime.socket.terminate();
    await until(() => upstream.activeRequests() === 0, 'the backend has stopped');
    await until(() => field.proxy.requests().length === 1, 'the session is logged');
    expect(field.proxy.requests()[0]).toMatchObject({error: 'caller_gone'});
    await expectNothingBlamed(field);
  });
});
