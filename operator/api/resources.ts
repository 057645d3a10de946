/** What every object of the API has around its spec; the resources' own types are generated.ts. */

/** The part of Kubernetes' ObjectMeta that is read or written here. */
export type ObjectMeta = {
  name: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  generation?: number;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  finalizers?: string[];
};
