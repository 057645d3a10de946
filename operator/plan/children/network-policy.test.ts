import {describe, expect, it} from '@jest/globals';
import {modelGateway} from '../../../test/objects.ts';
import type {AllowedCallers} from '../../api/generated.ts';
import {networkPolicy} from './network-policy.ts';

const toCallers = [{port: 8080, protocol: 'TCP'}];
const selector = {matchLabels: {team: 'a'}, matchExpressions: [{key: 'stage', operator: 'Exists' as const}]};

describe('callers', () => {
  const cases: Record<string, {allowedCallers?: AllowedCallers; rule: object}> = {
    'come from the namespace of the gateway': {rule: {ports: toCallers, from: [{podSelector: {}}]}},
    'come from there if nothing else is said': {
      allowedCallers: {namespaces: {}},
      rule: {ports: toCallers, from: [{podSelector: {}}]},
    },
    'come from everywhere, outside the cluster too': {
      allowedCallers: {namespaces: {from: 'All'}},
      rule: {ports: toCallers},
    },
    'come from the namespaces that a selector matches': {
      allowedCallers: {namespaces: {from: 'Selector', selector}},
      rule: {ports: toCallers, from: [{namespaceSelector: selector}]},
    },
    'come from the namespaces that a selector matches, and nothing empty is repeated': {
      allowedCallers: {
        namespaces: {
          from: 'Selector',
          selector: {matchExpressions: [{key: 'stage', operator: 'Exists', values: []}]},
        },
      },
      rule: {
        ports: toCallers,
        from: [{namespaceSelector: {matchExpressions: [{key: 'stage', operator: 'Exists'}]}}],
      },
    },
    'come from every namespace': {
      allowedCallers: {namespaces: {from: 'Selector', selector: {matchLabels: {}, matchExpressions: []}}},
      rule: {ports: toCallers, from: [{namespaceSelector: {}}]},
    },
  };
  it.each(Object.entries(cases))('%s', (_, {allowedCallers, rule}) => {
    const gateway = modelGateway({uid: 'uid-1'}, {...(allowedCallers !== undefined && {allowedCallers})});
    expect(networkPolicy(gateway)).toMatchObject({
      kind: 'NetworkPolicy',
      metadata: {name: 'models'},
      spec: {
        podSelector: {
          matchLabels: {'app.kubernetes.io/name': 'modelroute-proxy', 'app.kubernetes.io/instance': 'models'},
        },
        policyTypes: ['Ingress'],
        ingress: [rule, {ports: [{port: 9090, protocol: 'TCP'}], from: [{namespaceSelector: {}}]}],
      },
    });
    expect((networkPolicy(gateway)['spec'] as {ingress: object[]}).ingress[0]).toEqual(rule); // no `from` where there is none
  });
});
