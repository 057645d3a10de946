/** Where a request can go. Endpoints reach the proxy beside its config: from EndpointSlices, or as the one of a URL. */
export type Endpoint = {
  /** IP address. */
  address: string;
  port: number;
  /** Where it runs. */
  zone?: string;
  /** The zones that it is meant for: the API's `hints.forZones`. */
  zones?: readonly string[];
  /** Neither ready nor terminating: for when nothing else is left. Of one Service port either all are marked or none is. */
  lastResort?: true;
};

/** Endpoints of Services by {@link serviceKey}; a Service that is missing here is not known, an empty list has none. */
export type EndpointTable = ReadonlyMap<string, readonly Endpoint[]>;

export type ServicePort = {namespace: string; name: string; portName: string};

export const serviceKey = ({namespace, name, portName}: ServicePort): string => `${namespace}/${name}:${portName}`;

/** Absent means ready: https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions */
export const isReadyEndpoint = ({ready, terminating}: EndpointSlice['endpoints'][number]): boolean =>
  ready !== false && terminating !== true;

/** The parts of a discovery.k8s.io/v1 EndpointSlice that matter here. */
export type EndpointSlice = {
  namespace: string;
  serviceName: string;
  addressType: 'IPv4' | 'IPv6' | 'FQDN';
  ports: {name: string; port: number}[];
  endpoints: {
    addresses: string[];
    zone?: string;
    /** `hints.forZones`, their names. */
    hintZones?: string[];
    ready?: boolean;
    serving?: boolean;
    terminating?: boolean;
  }[];
};
