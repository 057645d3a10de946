/** Ports of a proxy. */
export const callerPort = 8080;
export const adminPort = 9090;

/** The caller port's name in the pod and in the Service. */
export const callerPortName = 'http';
export const adminPortName = 'admin';
