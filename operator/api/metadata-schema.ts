/**
 * Kubernetes' ObjectMeta as far as an API server checks it when an object is made: the CRDs leave `metadata` to it. Objects
 * read back from a cluster carry what it has filled in, so all of its fields are known here.
 */
import type {Schema} from './crds.ts';

export const dnsSubdomain = '^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$';
export const dnsLabel = '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$';
export const labelValue = '^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$';

const text: Schema = {type: 'string'};
const integer: Schema = {type: 'integer'};

const qualifiedName =
  '([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?';

/** `flags`: Kubernetes lowers the case of an annotation's key before it looks at it, not that of a label's. */
const qualifiedKeys = (flags: string): Pick<Schema, 'x-kubernetes-validations'> => ({
  'x-kubernetes-validations': [
    {
      rule: `self.all(k, k.size() <= 317 && k.matches('${flags}^${qualifiedName}$'))`,
      message: 'each key must be a name of at most 63 characters such as team, or prefix/name such as example.com/team',
    },
  ],
});

export const metadataSchema: Schema = {
  type: 'object',
  description: 'Name and namespace of the object',
  required: ['name'],
  properties: {
    name: {type: 'string', description: 'The name of the object', minLength: 1, maxLength: 253, pattern: dnsSubdomain},
    namespace: {type: 'string', minLength: 1, maxLength: 63, pattern: dnsLabel},
    labels: {
      type: 'object',
      additionalProperties: {type: 'string', maxLength: 63, pattern: labelValue},
      ...qualifiedKeys(''),
    },
    annotations: {type: 'object', additionalProperties: text, ...qualifiedKeys('(?i)')},
    generateName: text,
    selfLink: text,
    uid: text,
    resourceVersion: text,
    generation: integer,
    creationTimestamp: text,
    deletionTimestamp: text,
    deletionGracePeriodSeconds: integer,
    finalizers: {type: 'array', items: text},
    ownerReferences: {type: 'array', items: {type: 'object'}},
    managedFields: {type: 'array', items: {type: 'object'}},
  },
};
