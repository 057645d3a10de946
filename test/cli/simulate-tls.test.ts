/** The simulator with TLS: its certificates, its sessions, and resets beneath it. */
import {once} from 'node:events';
import {request as plainRequest} from 'node:http';
import {Agent, request, type AgentOptions} from 'node:https';
import {afterEach, describe, expect, it} from '@jest/globals';
import OpenAI from 'openai';
import {OpenAIRealtimeWS} from 'openai/realtime/ws';
import {startSimulator, type Simulator, type SimulatorOptions} from '../../simulator/index.ts';
import {createCertificate} from '../proxy/certificates.ts';
import {until} from '../until.ts';

const authority = createCertificate('authority', {isCa: true});
const server = createCertificate('server', {names: ['127.0.0.1'], issuer: authority});
const caller = createCertificate('caller', {issuer: authority});
const tls = {key: server.key, cert: server.cert};

const running: {simulators: Simulator[]; agents: Agent[]} = {simulators: [], agents: []};
afterEach(async () => {
  for (const agent of running.agents.splice(0)) agent.destroy();
  for (const simulator of running.simulators.splice(0)) await simulator.close();
});

const started = async (options: NonNullable<SimulatorOptions['tls']>): Promise<Simulator> => {
  const simulator = await startSimulator({models: ['chat'], tls: options});
  running.simulators.push(simulator);
  return simulator;
};
const agentWith = (options: AgentOptions = {}): Agent => {
  const agent = new Agent({ca: authority.cert, maxCachedSessions: 1, ...options});
  running.agents.push(agent);
  return agent;
};

/** The status, if one came, and how it broke, if it did. */
const ask = (simulator: Simulator, agent: Agent, simulate: object = {do: 'answer'}): Promise<string> =>
  new Promise((resolve) => {
    let status = '';
    const broken = (error: NodeJS.ErrnoException): void => resolve(`${status} ${error.code ?? error.message}`.trim());
    const outgoing = request(`${simulator.url}/chat/completions`, {method: 'POST', agent}, (incoming) => {
      status = String(incoming.statusCode);
      incoming.on('error', broken);
      incoming.on('end', () => resolve(status));
      incoming.resume();
    });
    outgoing.on('error', broken);
    const messages = [{role: 'user', content: 'Hi'}];
    outgoing.end(JSON.stringify({model: 'chat', messages, stream: true, simulate}));
  });

describe('a simulator with TLS', () => {
  it('answers, and counts the sessions that are resumed', async () => {
    const simulator = await started(tls);
    expect(simulator.url).toMatch(/^https:\/\/127\.0\.0\.1:\d+\/v1$/);
    const agent = agentWith();
    expect(await ask(simulator, agent)).toBe('200');
    expect(simulator.resumedSessions()).toBe(0);
    expect(await ask(simulator, agent)).toBe('200');
    expect([simulator.totalConnections(), simulator.resumedSessions()]).toEqual([2, 1]);
    expect(simulator.requests().map(({connection}) => connection)).toEqual([1, 2]);
    await until(() => simulator.openConnections() === 0, 'both connections have closed');
  });

  it.each([
    ['BeforeHeaders', 'ECONNRESET'],
    ['AfterTokens', '200 ECONNRESET'],
  ])('resets the connection beneath: %s', async (where, expected) => {
    const simulator = await started(tls);
    expect(await ask(simulator, agentWith(), {do: 'reset', where})).toBe(expected);
    await until(() => simulator.activeRequests() === 0 && simulator.openConnections() === 0, 'it has ended');
    expect(simulator.aborted()).toBe(0);
  });

  it('is not trusted by who does not know its authority', async () => {
    const simulator = await started(tls);
    const stranger = createCertificate('stranger', {isCa: true});
    expect(await ask(simulator, agentWith({ca: stranger.cert}))).toMatch(/UNABLE_TO_VERIFY|SELF_SIGNED/);
    expect([simulator.requests().length, simulator.totalConnections()]).toEqual([0, 1]);
  });

  it('asks callers for a certificate', async () => {
    const simulator = await started({...tls, ca: authority.cert, requestCert: true});
    expect(await ask(simulator, agentWith())).toMatch(/CERTIFICATE_REQUIRED|ECONNRESET/);
    expect(await ask(simulator, agentWith({key: caller.key, cert: caller.cert}))).toBe('200');
  });

  it('has realtime sessions too, as the official client opens them', async () => {
    const simulator = await started(tls);
    const client = new OpenAI({baseURL: simulator.url, apiKey: 'sk-none'});
    const realtime = new OpenAIRealtimeWS({model: 'chat', options: {ca: authority.cert}}, client);
    let text = '';
    const done = new Promise((resolve, reject) => {
      realtime.on('response.done', resolve);
      realtime.on('error', reject);
    });
    realtime.on('response.output_text.delta', ({delta}) => {
      text += delta;
    });
    realtime.on('session.created', () => realtime.send({type: 'response.create'}));
    await done;
    expect(text).toMatch(/^Hello from simulator\./);
    expect(simulator.activeRequests()).toBe(1);
    realtime.close();
    await until(() => simulator.activeRequests() === 0, 'the session has ended');
    expect(simulator.aborted()).toBe(0);
  });

  it('survives who does not speak TLS', async () => {
    const simulator = await started(tls);
    const outgoing = plainRequest(`http://127.0.0.1:${simulator.port}/v1/models`).end();
    await once(outgoing, 'error');
    expect(await ask(simulator, agentWith())).toBe('200');
  });
});
