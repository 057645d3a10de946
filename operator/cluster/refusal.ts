/** Why the API server did not do what was asked: in words for people, who know objects and not paths. */
import {KubeError} from '../../kube/errors.ts';

export type Deed = {verb: string; kind: string; namespace: string; name: string};

/** What client-node and the thin client put before what they have to say. */
const where = /^(?:Failed to fetch resource metadata for \S+: )?[A-Z]+ \/\S*: /;

/** All others may quote what the API server, or an admission webhook, does not like of an object. */
const quotesNothing = new Set([401, 403, 404, 409, 429]);

/** No answer came, and none came to a try before. */
const isOfTheNetwork = ({status, cause}: KubeError): boolean => status === 0 && !(cause instanceof KubeError);

function said({kind}: Deed, error: KubeError): string {
  if (kind !== 'Secret' || quotesNothing.has(error.status) || isOfTheNetwork(error))
    return error.message.replace(where, '');
  return `${error.status} ${error.reason}`.trim() + ', in words that may quote it';
}

/** Throws a {@link KubeError} that names the deed. */
export async function refusal<Result>(deed: Deed, done: () => Promise<Result>): Promise<Result> {
  try {
    return await done();
  } catch (error) {
    if (!(error instanceof KubeError)) throw error;
    const {verb, kind, namespace, name} = deed;
    const {status, reason, retryAfterMs} = error;
    throw new KubeError(`cannot ${verb} ${kind} ${namespace}/${name}: ${said(deed, error)}`, {
      status,
      reason,
      retryAfterMs,
    });
  }
}
