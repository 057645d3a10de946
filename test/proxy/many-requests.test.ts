import {Agent, request as httpRequest} from 'node:http';
import {afterEach, describe, expect, it} from '@jest/globals';
import type {BehaviourInput} from '../../simulator/index.ts';
import {createFolder, routeFile, startServe} from '../cli/serve-process.ts';
import {createFakeClock} from '../fake-clock.ts';
import {until} from '../until.ts';
import {chatBody, keeper, post, startHarness, startUpstream} from './harness.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

/** One after the other on the agent's one connection. */
function ask(url: string, agent: Agent, body: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = {'content-type': 'application/json'};
    const request = httpRequest(`${url}/v1/chat/completions`, {method: 'POST', agent, headers}, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve(text)).on('error', reject);
    });
    request.on('error', reject).end(body);
  });
}

describe('many requests on one connection', () => {
  it('leave no listeners, no warnings and no unhandled errors behind', async () => {
    const local = await keep(startUpstream());
    const files = await keep(Promise.resolve(createFolder()));
    const serving = await keep(startServe(files.write('route.yaml', routeFile(local.url))));
    const agent = new Agent({keepAlive: true, maxSockets: 1});
    const behaviours: BehaviourInput[] = [
      {do: 'answer'},
      {do: 'hugeEvent', bytes: 300_000},
      {do: 'cut', afterTokens: 2},
      {do: 'status', status: 400},
      {do: 'closeIdle', onNextRequest: true},
    ];
    for (let round = 0; round < 20; round += 1) {
      for (const behaviour of behaviours) {
        local.behave(behaviour);
        await ask(serving.url, agent, chatBody({stream: round % 2 === 0}));
      }
    }
    local.behave({do: 'answer'});
    expect(await ask(serving.url, agent, chatBody())).toContain('"choices"');
    expect(serving.stderr()).toBe('');
    expect(serving.exitCode()).toBeUndefined();
    agent.destroy();
  }, 20_000);
});

describe('the timer of a request', () => {
  const behaviours: BehaviourInput[] = [
    {do: 'answer'},
    {do: 'status', status: 400},
    {do: 'status', status: 500},
    {do: 'cut', afterTokens: 1},
    {do: 'notJson'},
    {do: 'noDone'},
  ];

  it.each(behaviours.flatMap((behaviour) => [true, false].map((stream) => ({behaviour, stream}))))(
    'is stopped after it: %j',
    async ({behaviour, stream}) => {
      const local = await keep(startUpstream());
      const clock = createFakeClock();
      const routes = {backends: [{name: 'local', url: local.url}], retry: {maxAttempts: 1}};
      const proxy = await keep(startHarness({routes, clock}));
      local.behave(behaviour);
      await post(proxy.url, chatBody({stream})).then((response) => response.text());
      await until(() => proxy.requests().length === 1, 'the log line');
      await until(() => clock.pending === 0, 'no timer to be left');
    },
  );
});
