import {describe, expect, it} from '@jest/globals';
import {plan} from '../../operator/plan/plan.ts';
import {gatewayConfig} from '../../test/cluster-objects.ts';
import {modelRoute, slice, world} from '../../test/objects.ts';
import type {EndpointTable} from '../config/endpoint.ts';
import type {BackendTarget, GatewayConfig} from '../config/schema.ts';
import {strandedRoutes} from './stranded-routes.ts';

const service = (name: string): BackendTarget => ({
  type: 'Service',
  namespace: 'a',
  name,
  portName: 'http',
  path: '/v1',
});
const url: BackendTarget = {type: 'Url', url: 'https://api.example.com/v1'};

/** Names of routes with their targets. */
function config(routes: Record<string, BackendTarget[]>): GatewayConfig {
  const spec = {backends: [{name: 'a', serviceRef: {name: 'vllm', port: 8_000}}]};
  const [route] = plan(world({routes: [modelRoute({}, spec)], slices: [slice()]})).config.routes;
  const [backend] = route!.backends;
  return gatewayConfig({
    routes: Object.entries(routes).map(([name, targets]) => ({
      ...route!,
      name,
      backends: targets.map((target, index) => ({...backend!, name: `b${index}`, target})),
    })),
  });
}

const endpoints: EndpointTable = new Map([
  ['a/full:http', [{address: '10.0.0.1', port: 8_000}]],
  ['a/empty:http', []],
]);

describe('a next config', () => {
  it.each<[string, BackendTarget[], BackendTarget[], boolean]>([
    ['strands a route whose Service is known when it has but an unknown one', [service('full')], [service('x')], true],
    ['strands a route with a URL when it has but an unknown Service', [url], [service('x')], true],
    ['strands none that keeps a known Service', [service('full')], [service('x'), service('full')], false],
    ['strands none whose Service is known to have no endpoints', [service('full')], [service('empty')], false],
    ['strands none whose Service is listed', [service('full')], [service('listed')], false],
    ['strands none that gets a URL', [service('full')], [service('x'), url], false],
    ['strands none that has no endpoints anyway', [service('empty')], [service('x')], false],
    ['strands none that knows of none anyway', [service('y')], [service('x')], false],
  ])('%s', (_, before, after, isStranded) => {
    const isKnown = ({name}: {name: string}): boolean => name === 'listed';
    const stranded = strandedRoutes(config({chat: before}), config({chat: after}), {endpoints, isKnown});
    expect(stranded).toEqual(isStranded ? [expect.stringContaining('/chat')] : []);
  });

  it('may leave routes out, and have others', () => {
    const knowledge = {endpoints, isKnown: () => false};
    const now = config({chat: [service('full')]});
    expect(strandedRoutes(now, config({other: [service('x')]}), knowledge)).toEqual([]);
  });
});
