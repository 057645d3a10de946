/** What all Kubernetes objects have in common, as the API server sends it: checked only as far as it is read here. */
export type OwnerReference = {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
};

export type ObjectMeta = {
  name: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  generation?: number;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  ownerReferences?: OwnerReference[];
  /** RFC 3339. */
  creationTimestamp?: string;
  /** RFC 3339; being deleted since then. */
  deletionTimestamp?: string;
};

export type KubeObject = {apiVersion?: string; kind?: string; metadata: ObjectMeta; [member: string]: unknown};
