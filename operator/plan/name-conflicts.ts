/** Who serves a model name that several routes of one gateway claim. */
import type {ModelRoute} from '../api/generated.ts';
import {nameOf, nameText} from './metadata.ts';
import {overlap} from './model-names.ts';
import type {Problem} from './world.ts';

export type Claim = {name: string; path: readonly (string | number)[]};

/** The model names of a route with the fields they stand in. */
export const claimsOf = (route: ModelRoute): Claim[] =>
  route.spec.modelNames?.map((name, index) => ({name, path: ['spec', 'modelNames', index]})) ?? [
    {name: nameOf(route).name, path: ['metadata', 'name']},
  ];

export type NameConflict = Pick<Problem, 'path' | 'message'> & {loser: ModelRoute};

/** Seconds are all that a creationTimestamp has, so that the name decides between objects of one `kubectl apply`. */
const byAge = (a: ModelRoute, b: ModelRoute): number => {
  const [born, otherBorn] = [a.metadata.creationTimestamp ?? '', b.metadata.creationTimestamp ?? ''];
  if (born === '' && otherBorn === '') return 0; // from files: the order of appearance, which sort keeps
  if (born === '' || otherBorn === '') return born === '' ? 1 : -1;
  const [left, right] = [`${born} ${nameText(nameOf(a))}`, `${otherBorn} ${nameText(nameOf(b))}`];
  if (left === right) return 0;
  return left < right ? -1 : 1;
};

/**
 * Inside a namespace names may overlap: the most exact serves a request. Across namespaces they may not, or one team could
 * take over a part of what another serves.
 */
const isContested = (one: string, other: string, inOneNamespace: boolean): boolean =>
  inOneNamespace ? one === other : overlap(one, other);

/** A route with its claims, read once: each route is held against all older ones. */
type Claimant = {route: ModelRoute; namespace: string; claims: readonly Claim[]};

const claimantOf = (route: ModelRoute): Claimant => ({
  route,
  namespace: nameOf(route).namespace,
  claims: claimsOf(route),
});

const conflictWith = (younger: Claimant, older: Claimant): NameConflict | undefined => {
  const inOneNamespace = older.namespace === younger.namespace;
  for (const {name, path} of younger.claims) {
    const taken = older.claims.find((claim) => isContested(name, claim.name, inOneNamespace));
    if (taken === undefined) continue;
    const by = taken.name === name ? '' : ` by its "${taken.name}"`;
    const winner = nameText(nameOf(older.route));
    const message = `the model name "${name}" is taken by ModelRoute ${winner}${by}, which is older: use another name`;
    return {loser: younger.route, path, message};
  }
  return undefined;
};

const firstConflict = (younger: Claimant, winners: readonly Claimant[]): NameConflict | undefined => {
  for (const older of winners) {
    const conflict = conflictWith(younger, older);
    if (conflict !== undefined) return conflict;
  }
  return undefined;
};

/** The older route wins and goes on serving; a route that lost claims nothing. */
export const nameConflicts = (routes: readonly ModelRoute[]): NameConflict[] => {
  const winners: Claimant[] = [];
  const conflicts: NameConflict[] = [];
  for (const younger of [...routes].sort(byAge).map(claimantOf)) {
    const conflict = firstConflict(younger, winners);
    if (conflict === undefined) winners.push(younger);
    else conflicts.push(conflict);
  }
  return conflicts;
};
