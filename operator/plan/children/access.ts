/** What a proxy may read: its config and credentials by name, and EndpointSlices where its routes' Services are. */
import type {ModelGateway} from '../../api/generated.ts';
import type {Child} from '../fleet.ts';
import {nameOf} from '../metadata.ts';
import {childMetadata, farMetadata} from './child-metadata.ts';
import {configName, credentialsName} from './names.ts';

const rbac = 'rbac.authorization.k8s.io';
const verbs = ['get', 'list', 'watch'];

const slicesRule = {apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs};

/** A list or watch of one name (fieldSelector metadata.name) is granted by resourceNames too. */
const named = (resource: string, name: string): object => ({
  apiGroups: [''],
  resources: [resource],
  resourceNames: [name],
  verbs,
});

const grant = (gateway: ModelGateway, metadata: Child['metadata'], rules: object[]): Child[] => [
  {apiVersion: `${rbac}/v1`, kind: 'Role', metadata, rules},
  {
    apiVersion: `${rbac}/v1`,
    kind: 'RoleBinding',
    metadata,
    roleRef: {apiGroup: rbac, kind: 'Role', name: metadata.name},
    subjects: [{kind: 'ServiceAccount', ...nameOf(gateway)}],
  },
];

export const serviceAccount = (gateway: ModelGateway): Child => ({
  apiVersion: 'v1',
  kind: 'ServiceAccount',
  metadata: childMetadata(gateway),
});

/** Slices in its own namespace in any case: a proxy learns its zone from the slices of its own Service. */
export const ownGrant = (gateway: ModelGateway): Child[] => {
  const {name} = gateway.metadata;
  const rules = [named('configmaps', configName(name)), named('secrets', credentialsName(name)), slicesRule];
  return grant(gateway, childMetadata(gateway), rules);
};

/** In another namespace. */
export const farGrant = (gateway: ModelGateway, namespace: string): Child[] =>
  grant(gateway, farMetadata(gateway, namespace), [slicesRule]);
