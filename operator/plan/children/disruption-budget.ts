import type {ModelGateway} from '../../api/generated.ts';
import type {Child} from '../fleet.ts';
import {podSelector} from '../labels.ts';
import {nameOf} from '../metadata.ts';
import {childMetadata} from './child-metadata.ts';

/** Nodes are emptied one proxy at a time; one that is not ready holds nobody up. */
export const disruptionBudget = (gateway: ModelGateway): Child => ({
  apiVersion: 'policy/v1',
  kind: 'PodDisruptionBudget',
  metadata: childMetadata(gateway),
  spec: {
    maxUnavailable: 1,
    selector: {matchLabels: podSelector(nameOf(gateway))},
    unhealthyPodEvictionPolicy: 'AlwaysAllow',
  },
});
