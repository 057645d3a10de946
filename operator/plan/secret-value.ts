/** One value of one Secret that a backend refers to. */
import type {CredentialName} from '../../proxy/config/schema.ts';
import {invalid, secretKeyNotFound, secretNotFound} from '../api/conditions.ts';
import {isSameObject, nameText} from './metadata.ts';
import {listText} from './text.ts';
import type {BackendFault, SecretValue} from './world.ts';

export type SecretKey = {
  /** The field of the backend that names it, such as `auth.secretRef`. */
  field: readonly string[];
  name: string;
  key: string;
  /** The field can name another key; else the Secret is one of type kubernetes.io/tls. */
  mayNameKey: boolean;
  /** What belongs there. */
  what: string;
};

export type FoundSecretValue = {credential: CredentialName; value: string} | {fault: BackendFault};

export type SecretsInReach = {namespace: string; secrets: readonly SecretValue[]};

const keysOf = (secret: SecretValue): string => {
  const keys = Object.keys(secret.values).sort();
  return keys.length === 0 ? 'it has no keys' : `it has ${listText(keys)}`;
};

export const keyText = ({name, key}: Pick<SecretKey, 'name' | 'key'>, namespace: string): string =>
  `key "${key}" of Secret ${nameText({namespace, name})}`;

/** What decoding puts where bytes are not UTF-8. What was sent with it would not be what the Secret holds. */
const inPlaceOfBytes = '\uFFFD';

/** Never says a value in its messages. */
export const findSecretValue = (wanted: SecretKey, {namespace, secrets}: SecretsInReach): FoundSecretValue => {
  const {field, name, key, mayNameKey, what} = wanted;
  const secret = secrets.find((candidate) => isSameObject(candidate, {namespace, name}));
  if (secret === undefined) {
    const remedy = mayNameKey ? `add it with the key "${key}"` : 'add it, of type kubernetes.io/tls';
    const message = `there is no Secret ${nameText({namespace, name})}: ${remedy}`;
    return {fault: {path: [...field, 'name'], reason: secretNotFound, message}};
  }
  const path = [...field, mayNameKey ? 'key' : 'name'];
  const value = secret.values[key];
  if (value === undefined) {
    const remedy = mayNameKey ? 'add it, or name another key' : 'add it, or name another Secret';
    const message = `Secret ${nameText(secret)} has no key "${key}" (${keysOf(secret)}): ${remedy}`;
    return {fault: {path, reason: secretKeyNotFound, message}};
  }
  if (value.trim() === '') {
    const message = `${keyText(wanted, namespace)} is empty: put the ${what} there`;
    return {fault: {path, reason: secretKeyNotFound, message}};
  }
  if (value.includes(inPlaceOfBytes)) {
    const message = `${keyText(wanted, namespace)} holds bytes that are not text: put the ${what} there as text`;
    return {fault: {path, reason: invalid, message}};
  }
  const {uid, resourceVersion} = secret;
  return {credential: {namespace, name, key, uid, resourceVersion}, value};
};
