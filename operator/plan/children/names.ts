/** What the objects that a gateway becomes are called. Those that are not here have its own name. */
import type {ObjectName} from '../world.ts';

/** The ConfigMap. */
export const configName = (gateway: string): string => `${gateway}-config`;

/** The Secret. */
export const credentialsName = (gateway: string): string => `${gateway}-credentials`;

/** Role and RoleBinding in a namespace that is not the gateway's. RBAC allows colons, and no gateway's name holds one. */
export const farRoleName = ({namespace, name}: ObjectName): string => `modelroute:${namespace}:${name}`;
