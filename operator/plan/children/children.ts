/** The objects that a gateway becomes, but for its config and credentials. */
import type {Child} from '../fleet.ts';
import {nameOf} from '../metadata.ts';
import {farGrant, ownGrant, serviceAccount} from './access.ts';
import {autoscaler} from './autoscaler.ts';
import {deployment} from './deployment.ts';
import {disruptionBudget} from './disruption-budget.ts';
import type {ChildrenInput} from './input.ts';
import {networkPolicy} from './network-policy.ts';
import {service} from './service.ts';

export type {ChildrenInput} from './input.ts';

/**
 * In the order in which they are made: what a pod needs comes before the pods, and who may call is settled before anybody can. The config
 * and the credentials, which the pods mount, belong before all of them.
 */
export const planChildren = (input: ChildrenInput): Child[] => {
  const {gateway, servedNamespaces} = input;
  const own = nameOf(gateway).namespace;
  const far = [...new Set(servedNamespaces)].filter((namespace) => namespace !== own).sort();
  const scaler = autoscaler(gateway);
  return [
    serviceAccount(gateway),
    ...ownGrant(gateway),
    ...far.flatMap((namespace) => farGrant(gateway, namespace)),
    networkPolicy(gateway),
    service(gateway),
    disruptionBudget(gateway),
    deployment(input),
    ...(scaler === undefined ? [] : [scaler]),
  ];
};
