/** The credential that a backend is called with. */
import type {BackendConfig, CredentialName} from '../../proxy/config/schema.ts';
import {invalid, secretKeyNotFound, secretNotFound} from '../api/conditions.ts';
import type {Auth, Backend} from '../api/generated.ts';
import {isSameObject, nameText} from './metadata.ts';
import type {Problem, SecretValue} from './world.ts';

export const defaultSecretKey = 'apiKey';

type AuthFault = Pick<Problem, 'reason' | 'message'> & {path: readonly string[]};
export type ResolvedAuth = {auth: NonNullable<BackendConfig['auth']>; value: string} | {fault: AuthFault};

/** Which header carries the value, and what stands before it. */
export const authHeader = (api: Backend['api'], {type, headerName}: Auth): {headerName: string; prefix: string} => {
  const kind = type ?? (api === 'Anthropic' ? 'Header' : 'Bearer');
  if (kind === 'Bearer') return {headerName: 'authorization', prefix: 'Bearer '};
  return {headerName: (headerName ?? 'x-api-key').toLowerCase(), prefix: ''};
};

/** RFC 9110 5.5 allows more, but no credential needs it and not every server takes it. */
const cannotStandInHeader = (value: string): boolean => !/^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(value);

const keysOf = (secret: SecretValue): string => {
  const keys = Object.keys(secret.values).sort();
  return keys.length === 0 ? 'it has no keys' : `it has ${keys.join(', ')}`;
};

const valueFault = (secret: SecretValue, key: string): AuthFault | undefined => {
  const path = ['auth', 'secretRef', 'key'];
  const value = secret.values[key];
  if (value === undefined) {
    const message = `Secret ${nameText(secret)} has no key "${key}" (${keysOf(secret)}): add it, or name another key`;
    return {path, reason: secretKeyNotFound, message};
  }
  const what = `key "${key}" of Secret ${nameText(secret)}`;
  if (trimmed(value) === '') {
    return {path, reason: secretKeyNotFound, message: `${what} is empty: put the credential there`};
  }
  if (!cannotStandInHeader(trimmed(value))) return undefined;
  const message =
    `${what} holds what cannot stand in a header, such as a space at an end, a line break or a letter outside ASCII: ` +
    'put the credential alone there';
  return {path, reason: invalid, message};
};

/** `echo key | base64` and editors leave a line break behind, which nobody means. */
const trimmed = (value: string): string => value.replace(/[\r\n]+$/, '');

/** The credential of `backend` in `namespace`; never says a value in its messages. */
export const resolveAuth = (
  {api, auth}: {api?: Backend['api']; auth: Auth},
  namespace: string,
  secrets: readonly SecretValue[],
): ResolvedAuth => {
  const {name, key = defaultSecretKey} = auth.secretRef;
  const secret = secrets.find((candidate) => isSameObject(candidate, {namespace, name}));
  if (secret === undefined) {
    const message = `there is no Secret ${namespace}/${name}: add it with the key "${key}"`;
    return {fault: {path: ['auth', 'secretRef', 'name'], reason: secretNotFound, message}};
  }
  const fault = valueFault(secret, key);
  if (fault !== undefined) return {fault};
  const {uid, resourceVersion} = secret;
  const credential: CredentialName = {namespace, name, key, uid, resourceVersion};
  return {auth: {...authHeader(api, auth), credential}, value: trimmed(secret.values[key] ?? '')};
};
