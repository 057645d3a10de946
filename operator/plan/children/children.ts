/** The objects that a gateway becomes. */
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
 * In the order in which they are applied: what a proxy may do comes before what it reads, that before the pods, and who may call is
 * settled before anybody can. `mounted`: the credentials and the config, in this order.
 */
export const planChildren = (input: ChildrenInput, mounted: readonly Child[] = []): Child[] => {
  const {gateway, servedNamespaces} = input;
  const own = nameOf(gateway).namespace;
  const far = [...new Set(servedNamespaces)].filter((namespace) => namespace !== own).sort();
  const scaler = autoscaler(gateway);
  return [
    serviceAccount(gateway),
    ...ownGrant(gateway),
    ...far.flatMap((namespace) => farGrant(gateway, namespace)),
    networkPolicy(gateway),
    ...mounted,
    service(gateway),
    disruptionBudget(gateway),
    deployment(input),
    ...(scaler === undefined ? [] : [scaler]),
  ];
};
