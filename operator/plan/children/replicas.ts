/** Who says how many proxies there are: the gateway, or, while it scales automatically, the HorizontalPodAutoscaler. */
import {z} from 'zod';
import type {Autoscaling, ModelGatewaySpec} from '../../api/generated.ts';
import {fieldManager} from '../on-demand.ts';

const defaultReplicas = 2;

/** What of a live Deployment is looked at. */
const liveDeployment = z.object({
  metadata: z.object({
    resourceVersion: z.string(),
    managedFields: z
      .array(
        z.object({
          manager: z.string().optional(),
          fieldsV1: z.object({'f:spec': z.record(z.string(), z.unknown()).optional()}).optional(),
        }),
      )
      .default([]),
  }),
  spec: z.object({replicas: z.number()}),
});

type LiveDeployment = z.infer<typeof liveDeployment>;

export type Replicas = {
  /** Unset: the number is somebody else's, and the field has to be left out. */
  replicas?: number;
  /** The Deployment may be applied only if it still has this resourceVersion: `replicas` repeats a number that another may be changing. */
  resourceVersion?: string;
};

export const minReplicasOf = ({minReplicas, maxReplicas}: Autoscaling): number =>
  minReplicas ?? Math.min(defaultReplicas, maxReplicas);

/** An entry for the scale subresource, as an autoscaler leaves it, is of the same form as any other. */
const isOwnedByAnother = ({metadata: {managedFields}}: LiveDeployment): boolean =>
  managedFields.some(
    ({manager, fieldsV1}) => manager !== fieldManager && Object.hasOwn(fieldsV1?.['f:spec'] ?? {}, 'f:replicas'),
  );

/**
 * With autoscaling, the current number is applied until another manager owns it: a field that its only manager leaves out goes back
 * to its default, 1. From 0 an autoscaler would never start, so that is not repeated. `currentDeployment`: undefined if there is none.
 */
export const replicasOf = (
  {replicas, autoscaling}: ModelGatewaySpec,
  currentDeployment: object | undefined,
): Replicas => {
  if (autoscaling === undefined) return {replicas: replicas ?? defaultReplicas};
  if (currentDeployment === undefined) return {replicas: minReplicasOf(autoscaling)};
  const live = liveDeployment.parse(currentDeployment);
  if (isOwnedByAnother(live)) return {};
  return {
    replicas: live.spec.replicas === 0 ? minReplicasOf(autoscaling) : live.spec.replicas,
    resourceVersion: live.metadata.resourceVersion,
  };
};
