/** One request to the API server, as it is asked for and as it goes out. Pure. */

export type KubeRequest = {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** `/api/v1/namespaces/a/configmaps/b` */
  path: string;
  query?: Readonly<Record<string, string | number | boolean | undefined>>;
  /** Sent as JSON. */
  body?: unknown;
  /** `application/json` unless given. */
  contentType?: string;
  /** An answer that is an error is thrown, but for 429: the caller will try again. What breaks on the way is sent again. */
  answersAreFinal?: boolean;
  signal?: AbortSignal;
};

export type WrittenRequest = {
  method: KubeRequest['method'];
  path: string;
  headers: Record<string, string>;
  body: string | null;
};

const queryOf = (query: KubeRequest['query'] = {}): string => {
  const pairs = Object.entries(query).flatMap(([key, value]) => (value === undefined ? [] : [[key, String(value)]]));
  return pairs.length === 0 ? '' : `?${new URLSearchParams(pairs).toString()}`;
};

/** `prefix`: of the server's URL, without a slash at its end. */
export function writeRequest(request: KubeRequest, prefix: string, token: string | undefined): WrittenRequest {
  const {method, path, query, body, contentType = 'application/json'} = request;
  return {
    method,
    path: prefix + path + queryOf(query),
    headers: {
      accept: 'application/json',
      'user-agent': 'modelroute', // also the field manager of whoever names none
      ...(token !== undefined && {authorization: `Bearer ${token}`}),
      ...(body !== undefined && {'content-type': contentType}),
    },
    body: body === undefined ? null : JSON.stringify(body),
  };
}
