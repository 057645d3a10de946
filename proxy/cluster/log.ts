/** Where it is told what happens; the proxy's own log is one. */
export type Fields = Record<string, unknown>;

type Write = (message: string, fields?: Fields) => void;

export type Log = {info: Write; warn: Write; error: Write};
