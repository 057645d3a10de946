/** Label selectors, by Kubernetes' rules: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/ */
import type {LabelSelector, LabelSelectorRequirement} from '../api/generated.ts';

export type Labels = Readonly<Record<string, string>>;

/** Not by index alone: a label may be called constructor. */
const valueOf = (labels: Labels, key: string): string | undefined =>
  Object.hasOwn(labels, key) ? labels[key] : undefined;

type Operator = LabelSelectorRequirement['operator'];

const operators: Record<Operator, (value: string | undefined, values: readonly string[]) => boolean> = {
  Exists: (value) => value !== undefined,
  DoesNotExist: (value) => value === undefined,
  In: (value, values) => value !== undefined && values.includes(value),
  NotIn: (value, values) => value === undefined || !values.includes(value),
};

/** All requirements have to hold; without any, everything matches. */
export const matchesSelector = ({matchLabels = {}, matchExpressions = []}: LabelSelector, labels: Labels): boolean =>
  Object.entries(matchLabels).every(([key, value]) => valueOf(labels, key) === value) &&
  matchExpressions.every(({key, operator, values = []}) => operators[operator](valueOf(labels, key), values));

/** The label that every namespace has by itself. */
export const namespaceNameLabel = 'kubernetes.io/metadata.name';

/** What is known of a namespace's labels: its name at least. */
export const labelsOfNamespace = (namespace: string, known?: ReadonlyMap<string, Labels>): Labels => ({
  ...known?.get(namespace),
  [namespaceNameLabel]: namespace,
});
