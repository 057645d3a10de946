/** The metadata of a gateway's children: their labels, and who owns them. */
import type {ModelGateway} from '../../api/generated.ts';
import type {Child} from '../fleet.ts';
import {childLabels} from '../labels.ts';
import {nameOf} from '../metadata.ts';
import {farRoleName} from './names.ts';

/** Of a child beside its gateway: it goes when the gateway goes. */
export const childMetadata = (gateway: ModelGateway, name = gateway.metadata.name): Child['metadata'] => {
  const {uid} = gateway.metadata;
  if (uid === undefined) throw new Error('bug: a gateway that no API server has made owns nothing');
  const {apiVersion, kind} = gateway;
  const owner = {
    apiVersion,
    kind,
    name: gateway.metadata.name,
    uid,
    controller: true,
    blockOwnerDeletion: true,
  } as const;
  const {namespace} = nameOf(gateway);
  return {name, namespace, labels: childLabels(nameOf(gateway)), ownerReferences: [owner]};
};

/** Of a child in another namespace, where no owner reference reaches. */
export const farMetadata = (gateway: ModelGateway, namespace: string): Child['metadata'] => ({
  name: farRoleName(nameOf(gateway)),
  namespace,
  labels: childLabels(nameOf(gateway)),
});
