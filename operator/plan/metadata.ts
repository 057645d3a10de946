/** How objects are named and told apart in the plan. */
import type {ObjectMeta} from '../api/resources.ts';
import type {ObjectName} from './world.ts';

/** Every object of ours has a namespace; whoever read it has put in `default` where a file is silent. */
export const nameOf = ({metadata: {name, namespace = 'default'}}: {metadata: ObjectMeta}): ObjectName => ({
  namespace,
  name,
});

export const isSameObject = (a: ObjectName, b: ObjectName): boolean => a.namespace === b.namespace && a.name === b.name;

export const nameText = ({namespace, name}: ObjectName): string => `${namespace}/${name}`;
