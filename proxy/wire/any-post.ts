/** Any other POST /v1/… with a JSON body that names a model: carried once, and its answer passed on as it comes. */
import type {WireApi} from './api.ts';
import {anthropicShape} from './anthropic.ts';
import {unreadApi} from './relayed-apis.ts';

const segment = /^(?!\.{1,2}$)[\w.~:@-]+$/;

const shared = unreadApi({name: 'other', path: '', spokenBy: ['OpenAI', 'Anthropic'], carriedOnce: true});

/** `path`: below `/v1`, as it stands in the request line. Undefined if it could mean another place at a backend: `..`, escapes. */
export function anyPost(path: string): WireApi | undefined {
  const [root, ...segments] = path.split('/');
  if (root !== '' || segments.length === 0 || !segments.every((each) => segment.test(each))) return undefined;
  const isAnthropic = segments[0] === 'messages';
  return {
    ...shared,
    path,
    pathAt: (basePath) => `${basePath}${path}`,
    ...(isAnthropic ? anthropicShape : {}),
  };
}
