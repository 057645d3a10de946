/** Fields that only a cluster can act on: a file may hold them, a process that runs by itself says once that it does nothing with them. */
import type {Resource} from '../api/generated.ts';
import {fieldsAt} from './fields.ts';
import {nameText} from './metadata.ts';
import type {ObjectName} from './world.ts';

export const clusterOnlyFields: Readonly<Record<Resource['kind'], readonly string[]>> = {
  ModelRoute: ['spec.loadBalancing.zonePreference'],
  ModelGateway: [
    'spec.replicas',
    'spec.autoscaling',
    'spec.allowedCallers',
    'spec.service',
    'spec.pod',
    'spec.defaults.loadBalancing.zonePreference',
  ],
};

const hasFields = (kind: string): kind is Resource['kind'] => Object.hasOwn(clusterOnlyFields, kind);

/**
 * Those that `value` sets, each such as `ModelGateway team-a/models: spec.replicas`. `value` is the object as it was written:
 * defaults of the schema are not the user's words.
 */
export const clusterOnlyIn = (object: ObjectName & {kind: string; value: unknown}): string[] => {
  const {kind, value} = object;
  if (!hasFields(kind)) return [];
  return clusterOnlyFields[kind]
    .filter((field) => fieldsAt(value, field).length > 0)
    .map((field) => `${kind} ${nameText(object)}: ${field}`);
};
