/** The life of a gateway that nobody wrote: it comes with the first route of its namespace and goes some time after the last. */
import type {ModelGateway} from '../api/generated.ts';
import type {ManagedFields, ObjectMeta} from '../api/resources.ts';
import {defaultGatewayName} from './gateway-of.ts';
import {isSameObject} from './metadata.ts';
import type {ObjectName} from './world.ts';

export const onDemandAnnotation = 'modelroute.dev/on-demand';

export const fieldManager = 'modelroute';

/** Long enough for a route that is deleted and applied anew to find its fleet still there. */
export const idlePeriodMs = 600_000;

export type Life = {type: 'Keep'} | {type: 'Create'} | {type: 'Remove'} | {type: 'Idle'; removeInMs: number};

export type LifeInput = {
  name: ObjectName;
  gateway: ModelGateway | undefined;
  /** That name this gateway and are not being deleted, wherever they are. */
  routes: readonly ObjectName[];
  defaultGateway?: ObjectName;
  /** How long it has been without routes. */
  idleForMs: number;
};

const ownsSpec = ({manager, fieldsV1}: ManagedFields): boolean =>
  manager !== fieldManager && fieldsV1 !== undefined && Object.hasOwn(fieldsV1, 'f:spec');

/** Somebody has set a field of its spec, by `kubectl scale` for example: it is theirs from then on. */
const isTouched = ({managedFields = []}: ObjectMeta): boolean => managedFields.some(ownsSpec);

const isDefault = ({name, defaultGateway}: LifeInput): boolean =>
  defaultGateway !== undefined && isSameObject(name, defaultGateway);

const isMadeOnDemand = (input: LifeInput): boolean =>
  input.name.name === defaultGatewayName &&
  !isDefault(input) &&
  input.routes.some(({namespace}) => namespace === input.name.namespace);

/** A gateway that was made on demand and still nobody's but ours. */
const isOurs = ({metadata}: ModelGateway): boolean =>
  metadata.annotations?.[onDemandAnnotation] === 'true' && !isTouched(metadata);

export const lifeOf = (input: LifeInput): Life => {
  const {gateway, routes, idleForMs} = input;
  if (gateway === undefined) return {type: isMadeOnDemand(input) ? 'Create' : 'Keep'};
  if (routes.length > 0 || isDefault(input)) return {type: 'Keep'}; // that one would not be made again
  if (gateway.metadata.deletionTimestamp !== undefined || !isOurs(gateway)) return {type: 'Keep'};
  return idleForMs >= idlePeriodMs ? {type: 'Remove'} : {type: 'Idle', removeInMs: idlePeriodMs - idleForMs};
};
