/** What `serve` and `check` share: files to the config of one gateway, with every problem at its place. */
import type {EndpointSlice} from '../../proxy/config/endpoint.ts';
import type {Credentials, GatewayConfig} from '../../proxy/config/schema.ts';
import {
  backendNotFound,
  gatewayNotFound,
  portNotFound,
  type Reason,
  secretKeyNotFound,
  secretNotFound,
  unsupportedValue,
} from '../api/conditions.ts';
import {clusterOnlyIn} from '../plan/cluster-only.ts';
import {fieldsAt} from '../plan/fields.ts';
import {gatewayNames, gatewayOf} from '../plan/gateway-of.ts';
import {isSameObject, nameOf, nameText} from '../plan/metadata.ts';
import {plan} from '../plan/plan.ts';
import type {ObjectName, Plan, Problem, World} from '../plan/world.ts';
import {type FileObjects, readObjects, sourceKey} from './objects.ts';
import {compareProblems, type Effect, type FileProblem, problemAt, problemOfFile} from './problem.ts';

export type Loaded = {
  /** Both unset if a problem rejects the files whole. */
  config?: GatewayConfig;
  credentials?: Credentials;
  slices: EndpointSlice[];
  /** By file and line. */
  problems: FileProblem[];
  /** Fields that only a cluster acts on, each such as `ModelGateway team-a/models: spec.replicas`. */
  clusterOnly: string[];
  counts: {routes: number; backends: number};
};

export type LoadOptions = {
  /** `Serve` refuses what this version or a single process cannot do; `Check`, which may look at files for a cluster, warns of it. */
  use?: 'Serve' | 'Check';
  /** What the path `-` stands for. */
  stdin?: string;
} & Pick<World, 'faultsInTls'>;

type Use = NonNullable<LoadOptions['use']>;

const effects: Record<Problem['excludes'], Effect> = {
  Route: 'ExcludesRoute',
  Backend: 'ExcludesBackend',
  Nothing: 'Warns',
};

const refusedBy: Record<Use, Effect> = {Serve: 'RejectsAll', Check: 'Warns'};

const inFile = (problem: Problem, {sources}: FileObjects, use: Use): FileProblem => {
  const source = sources.get(sourceKey(problem.object));
  if (source === undefined) throw new Error(`bug: a problem of ${sourceKey(problem.object)}, which no file holds`);
  const effect = problem.reason === unsupportedValue ? refusedBy[use] : effects[problem.excludes];
  return problemAt(source, problem.path, problem.message, effect);
};

const notFound: ReadonlySet<Reason> = new Set([
  secretNotFound,
  secretKeyNotFound,
  backendNotFound,
  portNotFound,
  gatewayNotFound,
]);

/** While a part of the files could not be read, what is missing may well stand there: saying so would mislead. */
const planProblems = (plans: readonly Plan[], objects: FileObjects, use: Use): FileProblem[] =>
  plans
    .flatMap(({problems}) => problems)
    .filter(({reason}) => objects.problems.length === 0 || !notFound.has(reason))
    .map((problem) => inFile(problem, objects, use));

/** One process is one gateway: what could be served for several would depend on which port was asked. */
const severalGateways = (objects: FileObjects, [served, ...others]: readonly ObjectName[], use: Use): FileProblem[] => {
  const stray = objects.routes.find((route) => served !== undefined && !isSameObject(gatewayOf(route), served));
  const source = stray && objects.sources.get(sourceKey({kind: 'ModelRoute', ...nameOf(stray)}));
  if (source === undefined || served === undefined) return [];
  const names = [served, ...others].map(nameText).join(', ');
  const message =
    `the routes in these files belong to ${others.length + 1} gateways (${names}), and one process serves one: ` +
    'give all routes the same gatewayRef, or start one process each with its own files';
  return [problemAt(source, ['spec', 'gatewayRef'], message, refusedBy[use])];
};

const unusedGateways = (objects: FileObjects, used: readonly ObjectName[]): FileProblem[] =>
  objects.gateways
    .filter((gateway) => !used.some((name) => isSameObject(name, nameOf(gateway))))
    .flatMap((gateway) => {
      const source = objects.sources.get(sourceKey({kind: 'ModelGateway', ...nameOf(gateway)}));
      const message =
        'no route in these files belongs to this gateway, so that its settings have no effect: name it in gatewayRef';
      return source === undefined ? [] : [problemAt(source, ['metadata', 'name'], message, 'Warns')];
    });

const noRoutes = (objects: FileObjects, paths: readonly string[], use: Use): FileProblem[] => {
  if (use === 'Check' || objects.routes.length > 0 || objects.problems.length > 0) return [];
  const problem = problemOfFile(
    paths[0] ?? '',
    'there is no ModelRoute in the files, so that nothing is served: add one',
  );
  return [{...problem, severity: 'Warning', effect: 'Warns'}];
};

/** Of what the files hold, be it right or wrong. */
const countsOf = ({sources}: FileObjects): Loaded['counts'] => {
  const routes = [...sources.values()].filter(({kind}) => kind === 'ModelRoute');
  return {routes: routes.length, backends: routes.flatMap(({value}) => fieldsAt(value, 'spec.backends.*')).length};
};

/**
 * Reads everything that `paths` name, holds it against the schema, and plans. What a schema refuses leaves config and
 * credentials unset; what only cannot be resolved leaves out that backend or route alone.
 */
export const loadFiles = (paths: readonly string[], options: LoadOptions = {}): Loaded => {
  const {use = 'Serve', stdin, faultsInTls} = options;
  const objects = readObjects(paths, stdin);
  const {routes, gateways, secrets, slices} = objects;
  const used = gatewayNames(routes, gateways);
  const planned = used.map((gateway) =>
    plan({gateway, gateways, routes, secrets, slices, ...(faultsInTls && {faultsInTls})}),
  );
  const problems = [
    ...objects.problems,
    ...planProblems(planned, objects, use),
    ...severalGateways(objects, used, use),
    ...unusedGateways(objects, used),
    ...noRoutes(objects, paths, use),
  ].sort(compareProblems);
  const isRejected = problems.some(({effect}) => effect === 'RejectsAll');
  const [served] = planned;
  return {
    ...(isRejected || served === undefined ? {} : {config: served.config, credentials: served.credentials}),
    slices,
    problems,
    clusterOnly: [...objects.sources.values()].flatMap(clusterOnlyIn),
    counts: countsOf(objects),
  };
};
