/** The opening handshake of a WebSocket (RFC 6455, 4), as far as a proxy has to read it. */
import {RequestError} from './errors.ts';
import {onlyParameters} from './query.ts';

export type Handshake = {
  key: string;
  /** Subprotocols that go on. */
  protocols: readonly string[];
  model: string;
  /** Of the caller's query. */
  query: URLSearchParams;
};

type Headers = Readonly<Record<string, string | string[] | undefined>>;

/** Of a header that is a list; lower case is the caller's business. */
const tokensIn = (value: string | string[] | undefined): string[] =>
  [value ?? []]
    .flat()
    .flatMap((line) => line.split(','))
    .map((token) => token.trim())
    .filter((token) => token !== '');

const hasToken = (value: string | string[] | undefined, token: string): boolean =>
  tokensIn(value).some((each) => each.toLowerCase() === token);

export const asksForWebSocket = ({upgrade, connection}: Headers): boolean =>
  hasToken(upgrade, 'websocket') && hasToken(connection, 'upgrade');

const version = '13';

/** To be sent with a 426: RFC 9110, 15.5.22, and RFC 6455, 4.2.2. */
export const upgradeHeaders: Record<string, string> = {
  upgrade: 'websocket',
  connection: 'upgrade, close',
  'sec-websocket-version': version,
};

function readKey(headers: Headers): string {
  if (headers['sec-websocket-version'] !== version)
    throw new RequestError('upgrade_required', `The handshake needs "sec-websocket-version: ${version}".`, {
      headers: upgradeHeaders,
    });
  const key = headers['sec-websocket-key'];
  if (typeof key === 'string' && /^[\w+/]{22}==$/.test(key)) return key;
  throw new RequestError('invalid_value', 'The handshake needs one "sec-websocket-key": 16 random bytes in base64.', {
    param: 'sec-websocket-key',
  });
}

/** Browsers cannot send headers, so OpenAI's clients put keys among the subprotocols; those that are none pass. */
const isProtocol = (token: string): boolean => token === 'realtime' || /^openai-beta\.[\w.-]+$/.test(token);

function readProtocols(headers: Headers): string[] {
  const offered = tokensIn(headers['sec-websocket-protocol']);
  const protocols = offered.filter(isProtocol);
  if (offered.length === 0 || protocols.length > 0) return protocols;
  throw new RequestError('invalid_value', 'Of the subprotocols in "sec-websocket-protocol" one must be "realtime".', {
    param: 'sec-websocket-protocol',
  });
}

const passedOn = ['model', 'intent', 'call_id'];

function readModel(query: URLSearchParams): string {
  const models = query.getAll('model');
  const [model] = models;
  const details = {param: 'model'};
  if (model === undefined)
    throw new RequestError(
      'missing_model',
      'The URL needs the name of a model to ask: /v1/realtime?model=NAME.',
      details,
    );
  if (models.length > 1) throw new RequestError('invalid_value', 'The URL has "model" twice; send it once.', details);
  if (model === '') throw new RequestError('invalid_value', '"model" must not be empty.', details);
  return model;
}

/** `search`: what stands behind the `?`. Throws {@link RequestError}: upgrade_required, invalid_value, missing_model. */
export function readHandshake(headers: Headers, search: string): Handshake {
  const query = new URLSearchParams(search);
  const model = readModel(query);
  return {key: readKey(headers), protocols: readProtocols(headers), model, query: onlyParameters(query, passedOn)};
}

/** What the backend's 101 chose for the caller; a problem where it is no answer to the handshake. */
export type Chosen = {protocol: string | undefined} | {problem: string};

/** `accept`: what the key has to be answered with. */
export function readChosen({protocols}: Handshake, accept: string, headers: Headers): Chosen {
  if (headers['sec-websocket-accept'] !== accept) return {problem: 'did not answer the key of the WebSocket handshake'};
  if (tokensIn(headers['sec-websocket-extensions']).length > 0) return {problem: 'chose a WebSocket extension unasked'};
  const chosen = tokensIn(headers['sec-websocket-protocol']);
  const [protocol] = chosen;
  if (chosen.length > 1 || (protocol !== undefined && !protocols.includes(protocol)))
    return {problem: 'chose a WebSocket subprotocol unasked'};
  // A backend that knows none speaks the only one that there is, and browsers leave if theirs is not taken up.
  return {protocol: protocol ?? protocols.find((each) => each === 'realtime') ?? protocols[0]};
}
