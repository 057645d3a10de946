/** The credential that a backend is called with. */
import {credentialKey} from '../../proxy/config/schema.ts';
import {invalid} from '../api/conditions.ts';
import type {Auth, Backend} from '../api/generated.ts';
import {findSecretValue, keyText, type SecretsInReach} from './secret-value.ts';
import type {ResolvedAccess} from './world.ts';

export const defaultSecretKey = 'apiKey';

/** Which header carries the value, and what stands before it. */
export const authHeader = (api: Backend['api'], {type, headerName}: Auth): {headerName: string; prefix: string} => {
  const kind = type ?? (api === 'Anthropic' ? 'Header' : 'Bearer');
  if (kind === 'Bearer') return {headerName: 'authorization', prefix: 'Bearer '};
  return {headerName: (headerName ?? 'x-api-key').toLowerCase(), prefix: ''};
};

/** RFC 9110 5.5 allows more, but no credential needs it and not every server takes it. */
const cannotStandInHeader = (value: string): boolean => !/^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(value);

/** `echo key | base64` and editors leave a line break behind, which nobody means. */
const trimmed = (value: string): string => value.replace(/[\r\n]+$/, '');

/** The credential of `backend`; never says a value in its messages. */
export const resolveAuth = ({api, auth}: Pick<Backend, 'api' | 'auth'>, reach: SecretsInReach): ResolvedAccess => {
  if (auth === undefined) return {config: {}, credentials: [], faults: []};
  const {name, key = defaultSecretKey} = auth.secretRef;
  const field = ['auth', 'secretRef'];
  const found = findSecretValue({field, name, key, mayNameKey: true, what: 'credential'}, reach);
  if ('fault' in found) return {config: {}, credentials: [], faults: [found.fault]};
  const {credential} = found;
  const value = trimmed(found.value);
  if (!cannotStandInHeader(value)) {
    const config = {auth: {...authHeader(api, auth), credential}};
    return {config, credentials: [[credentialKey(credential), value]], faults: []};
  }
  const message =
    `${keyText({name, key}, reach.namespace)} holds what cannot stand in a header, such as a space at an end, ` +
    'a line break or a letter outside ASCII: put the credential alone there';
  return {config: {}, credentials: [], faults: [{path: [...field, 'key'], reason: invalid, message}]};
};
