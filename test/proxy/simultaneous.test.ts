import {afterEach, describe, expect, it} from '@jest/globals';
import {until} from '../until.ts';
import {chatBody, keeper, post, startHarness, startUpstream} from './harness.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

describe('requests that arrive in the same moment', () => {
  it('send one probe to a half-open breaker, not one each', async () => {
    const local = await keep(startUpstream({name: 'local'}));
    const cloud = await keep(startUpstream({name: 'cloud'}));
    const proxy = await keep(
      startHarness({
        routes: {
          backends: [
            {name: 'local', url: local.url},
            {name: 'cloud', url: cloud.url, priority: 1},
          ],
          circuitBreaker: {consecutiveFailures: 1, openDuration: '1s'},
          retry: {maxAttempts: 1},
        },
      }),
    );
    local.behave({do: 'status', status: 500}, {times: 1});
    await post(proxy.url, chatBody());
    const breaker = async (): Promise<string> => {
      const {routes} = (await (await fetch(`${proxy.admin}/backends`)).json()) as {
        routes: {backends: {breaker: string}[]}[];
      };
      return routes[0]?.backends[0]?.breaker ?? '';
    };
    await until(async () => (await breaker()) === 'HalfOpen', 'the breaker to be half-open');

    local.behave({do: 'delay', ms: 400});
    const before = local.requests().length;
    const answers = await Promise.all(Array.from({length: 20}, () => post(proxy.url, chatBody())));
    const backends = answers.map((answer) => answer.headers.get('x-modelroute-backend'));
    expect(backends.filter((name) => name === 'local')).toHaveLength(1);
    expect(local.requests().length - before).toBe(1);
  });

  it('never exceed maxConcurrentRequests', async () => {
    const local = await keep(startUpstream({name: 'local'}));
    const proxy = await keep(
      startHarness({routes: {backends: [{name: 'local', url: local.url, maxConcurrentRequests: 3}]}}),
    );
    local.behave({do: 'delay', ms: 1_500});
    const answers = await Promise.all(Array.from({length: 30}, () => post(proxy.url, chatBody())));
    expect(answers.filter(({status}) => status === 200)).toHaveLength(3);
    expect(answers.filter(({status}) => status === 503)).toHaveLength(27);
  });
});
