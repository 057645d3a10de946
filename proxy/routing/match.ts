/** Which route serves a model name: exact names first, then the longest pattern, then `*`. */

type Named = {modelNames: readonly string[]};

export type ModelMatch<Route> = {
  route: Route;
  /** The name stands in the route as it is, so it is the route's own word and not the caller's. */
  exact: boolean;
};

export type ModelTable<Route> = {
  find(model: string): ModelMatch<Route> | undefined;
  /** Exact names, sorted. */
  names: readonly string[];
};

type Pattern<Route> = {prefix: string; suffix: string; length: number; route: Route};

const matches = ({prefix, suffix, length}: Pattern<unknown>, model: string): boolean =>
  model.length >= length && model.startsWith(prefix) && model.endsWith(suffix);

/** `routes`: names do not clash any more, that is the plan's business; of two equal ones the first route has it. */
export function createModelTable<Route extends Named>(routes: readonly Route[]): ModelTable<Route> {
  const exact = new Map<string, Route>();
  const patterns: Pattern<Route>[] = [];
  for (const route of routes) {
    for (const name of route.modelNames) {
      if (name.startsWith('*')) patterns.push({prefix: '', suffix: name.slice(1), length: name.length - 1, route});
      else if (name.endsWith('*'))
        patterns.push({prefix: name.slice(0, -1), suffix: '', length: name.length - 1, route});
      else if (!exact.has(name)) exact.set(name, route);
    }
  }
  patterns.sort((a, b) => b.length - a.length);
  return {
    names: [...exact.keys()].sort(),
    find(model) {
      const own = exact.get(model);
      if (own !== undefined) return {route: own, exact: true};
      const pattern = patterns.find((each) => matches(each, model));
      return pattern && {route: pattern.route, exact: false};
    },
  };
}
