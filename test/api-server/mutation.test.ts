/**
 * What nobody thought of: the documents with one or two places changed at random. Whatever comes out, the API server and
 * validateObject have to agree on it, and on its defaults.
 */
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals';
import * as fc from 'fast-check';
import {applyDefaults, validateObject} from '../../operator/api/validate.ts';
import {findAssets} from './assets.ts';
import {dryRun, installCrds} from './crds.ts';
import {accepted, refused, type Resource} from './documents.ts';
import {type ApiServer, startApiServer} from './start.ts';

type Parent = Record<string | number, unknown>;
type Place = {parent: Parent; key: string | number};

const isParent = (value: unknown): value is Parent => typeof value === 'object' && value !== null;

const keysOf = (parent: Parent): (string | number)[] =>
  Array.isArray(parent) ? [...parent.keys()] : Object.keys(parent);

const placesIn = (parent: Parent): Place[] =>
  keysOf(parent).flatMap((key) => {
    const child = parent[key];
    return [{parent, key}, ...(isParent(child) ? placesIn(child) : [])];
  });

const texts = [...accepted, ...refused].flatMap(({object}) =>
  isParent(object.spec)
    ? placesIn(object.spec).flatMap(({parent, key}) => (typeof parent[key] === 'string' ? [parent[key]] : []))
    : [],
);

const sign = fc.constantFrom(...Array.from("abzAZ09.-_/*:@?#%[]()\\ \t\né😀\u0001~!$&'+,;="));

/** A text of the documents with one sign put in, taken out or changed. */
const nearlyRight = fc
  .tuple(fc.constantFrom(...texts), fc.nat(), fc.nat(1), fc.option(sign))
  .map(([text, at, drop, put]) => {
    const signs = Array.from(text);
    signs.splice(at % (signs.length + 1), drop, ...(put === null ? [] : [put]));
    return signs.join('');
  });

const value = fc.oneof(
  {weight: 4, arbitrary: nearlyRight},
  {weight: 2, arbitrary: fc.constantFrom(...texts)},
  {weight: 2, arbitrary: fc.constantFrom<unknown>(null, true, false, 0, 1, -1, 1.5, 65_536, 2 ** 31, 2 ** 53, 1e20)},
  {weight: 1, arbitrary: fc.constantFrom<unknown>({}, [], [null], [{}], '', 'Selector', 'Exists', 'Header')},
);

type Change = {at: number; how: 'replace' | 'remove' | 'add' | 'repeat'; name: string; value: unknown};

const change: fc.Arbitrary<Change> = fc.record({
  at: fc.nat(),
  how: fc.constantFrom('replace', 'replace', 'remove', 'add', 'repeat'),
  name: fc.constantFrom('name', 'url', 'type', 'from', 'selector', 'key', 'auth', 'weight', 'port', 'colour'),
  value,
});

const remove = ({parent, key}: Place): void => {
  if (Array.isArray(parent)) parent.splice(Number(key), 1);
  else delete parent[key];
};

const changeAt = (place: Place, {how, name, value}: Change): void => {
  const child = place.parent[place.key];
  if (how === 'remove') remove(place);
  else if (how === 'repeat' && Array.isArray(child)) child.push(structuredClone(child[0] ?? null));
  else if (how === 'add' && isParent(child)) child[Array.isArray(child) ? child.length : name] = structuredClone(value);
  else place.parent[place.key] = structuredClone(value);
};

const everyDocument = [...accepted, ...refused];

const mutant = fc
  .tuple(fc.constantFrom(...everyDocument), fc.array(change, {minLength: 1, maxLength: 2}))
  .map(([{object}, changes]): Resource => {
    const root = {spec: structuredClone(object.spec)};
    for (const each of changes) {
      const places = placesIn(root);
      const place = places[each.at % places.length];
      if (place !== undefined) changeAt(place, each);
    }
    return {apiVersion: object.apiVersion, kind: object.kind, metadata: {name: 'mutant'}, ...root};
  });

const assets = findAssets(() => undefined); // verdict.test.ts says it
const describeWithServer = assets === undefined ? describe.skip : describe;

describeWithServer('an object changed at random', () => {
  let server: ApiServer;

  beforeAll(async () => {
    server = await startApiServer(assets ?? '');
    await installCrds(server);
  }, 120_000);

  afterAll(() => server.stop());

  it('gets the same verdict and the same defaults from both', async () => {
    await fc.assert(
      fc.asyncProperty(mutant, async (object) => {
        const violations = validateObject(object);
        const {status, body} = await dryRun(server, object);
        const {message, spec} = body as {message?: string; spec?: unknown};
        expect({accepted: violations.length === 0, violations, message}).toEqual({
          accepted: status === 201,
          violations,
          message,
        });
        if (status === 201) expect(spec).toEqual((applyDefaults(object) as Resource).spec);
      }),
      {seed: 7, numRuns: 2000}, // the same each time: a new disagreement is a new change's
    );
  }, 60_000);
});
