/** What every child of a gateway is labelled with: how people and the operator find it again, and across namespaces what says whose it is. */
import type {ObjectName} from './world.ts';

export const managedByLabel = 'app.kubernetes.io/managed-by';
export const managedBy = 'modelroute';
const nameLabel = 'app.kubernetes.io/name';
const proxyName = 'modelroute-proxy';
const instanceLabel = 'app.kubernetes.io/instance';
export const gatewayLabel = 'modelroute.dev/gateway';
export const gatewayNamespaceLabel = 'modelroute.dev/gateway-namespace';

/** Of the gateway's pods in its namespace. A Deployment can never change its own, so this never changes either. */
export const podSelector = ({name}: ObjectName): Record<string, string> => ({
  [nameLabel]: proxyName,
  [instanceLabel]: name,
});

/** Of the objects and of the pods. Names of gateways and namespaces have at most 63 characters, as values of labels do. */
export const childLabels = (gateway: ObjectName): Record<string, string> => ({
  [managedByLabel]: managedBy,
  ...podSelector(gateway),
  [gatewayLabel]: gateway.name,
  [gatewayNamespaceLabel]: gateway.namespace,
});

/** Whether labels say that the object belongs to the gateway of this name. */
export const areLabelsOf = (labels: Readonly<Record<string, string>> = {}, {namespace, name}: ObjectName): boolean =>
  labels[managedByLabel] === managedBy && labels[gatewayLabel] === name && labels[gatewayNamespaceLabel] === namespace;
