/** What the operator logs with: a constant message and fields; never a credential. The proxy's own log fits. */
type Write = (message: string, fields?: Record<string, unknown>) => void;

export type Log = {error: Write; warn: Write; info: Write; debug: Write};
