/** Who may call: whoever reaches a gateway spends its credentials. */
import type {LabelSelector, LabelSelectorRequirement, ModelGateway, NamespacesFrom} from '../../api/generated.ts';
import type {Child} from '../fleet.ts';
import {podSelector} from '../labels.ts';
import {nameOf} from '../metadata.ts';
import {childMetadata} from './child-metadata.ts';
import {adminPort, callerPort} from './ports.ts';

const requirement = ({key, operator, values = []}: LabelSelectorRequirement): object => ({
  key,
  operator,
  ...(values.length > 0 && {values}),
});

/** What is empty is not stored: were it repeated, each time it is applied would count as a change. */
const namespaces = ({matchLabels = {}, matchExpressions = []}: LabelSelector): object => ({
  ...(Object.keys(matchLabels).length > 0 && {matchLabels}),
  ...(matchExpressions.length > 0 && {matchExpressions: matchExpressions.map(requirement)}),
});

/** Without `from` a rule is for everybody, outside the cluster too. */
const peers = ({from = 'Same', selector = {}}: NamespacesFrom): {from?: object[]} => {
  if (from === 'All') return {};
  return {from: [from === 'Same' ? {podSelector: {}} : {namespaceSelector: namespaces(selector)}]};
};

const to = (port: number): object => ({ports: [{port, protocol: 'TCP'}]});

/** Health and metrics are for whatever in the cluster asks; the kubelet's probes pass in any case. */
export const networkPolicy = (gateway: ModelGateway): Child => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: childMetadata(gateway),
  spec: {
    podSelector: {matchLabels: podSelector(nameOf(gateway))},
    policyTypes: ['Ingress'],
    ingress: [
      {...to(callerPort), ...peers(gateway.spec.allowedCallers?.namespaces ?? {})},
      {...to(adminPort), from: [{namespaceSelector: {}}]},
    ],
  },
});
