/** What every object of the API has around its spec; the resources' own types are generated.ts. */

/** Who set which fields: https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management */
export type ManagedFields = {
  manager?: string;
  operation?: string;
  subresource?: string;
  /** `f:spec` and so on, nested. */
  fieldsV1?: Readonly<Record<string, unknown>>;
};

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
  managedFields?: ManagedFields[];
};
