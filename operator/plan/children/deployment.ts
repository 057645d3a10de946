import type {Child} from '../fleet.ts';
import {podSelector} from '../labels.ts';
import {nameOf} from '../metadata.ts';
import {childMetadata} from './child-metadata.ts';
import type {ChildrenInput} from './input.ts';
import {podTemplate} from './pod-template.ts';
import {replicasOf} from './replicas.ts';

/**
 * The fleet. While an autoscaler is about to take over, its metadata holds the resourceVersion that the live one had: applied later than
 * that it conflicts, and has to be planned anew.
 */
export const deployment = (input: ChildrenInput): Child => {
  const {gateway, currentDeployment} = input;
  const {replicas, resourceVersion} = replicasOf(gateway.spec, currentDeployment);
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: {...childMetadata(gateway), ...(resourceVersion !== undefined && {resourceVersion})},
    spec: {
      ...(replicas !== undefined && {replicas}),
      revisionHistoryLimit: 3,
      selector: {matchLabels: podSelector(nameOf(gateway))},
      strategy: {type: 'RollingUpdate', rollingUpdate: {maxUnavailable: 0, maxSurge: 1}},
      template: podTemplate(input),
    },
  };
};
