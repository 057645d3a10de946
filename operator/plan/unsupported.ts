/** Fields of the schema that this version does not act on yet: they are refused, never silently ignored. */
import {unsupportedValue} from '../api/conditions.ts';
import type {Resource} from '../api/generated.ts';
import {type Field, fieldsAt} from './fields.ts';
import {nameOf} from './metadata.ts';
import type {Problem} from './world.ts';

type UnsupportedField = {
  kind: Resource['kind'];
  /** As {@link fieldsAt} takes it. */
  field: string;
  /** The values that are acted on, if there are any. */
  supported?: readonly (string | boolean)[];
  excludes: Problem['excludes'];
};

export const unsupportedFields: readonly UnsupportedField[] = [
  {kind: 'ModelRoute', field: 'spec.backends.*.continueBy', supported: ['Regenerate'], excludes: 'Backend'},
  {kind: 'ModelRoute', field: 'spec.stream.onCut', supported: ['Error'], excludes: 'Route'},
  {kind: 'ModelGateway', field: 'spec.defaults.stream.onCut', supported: ['Error'], excludes: 'Nothing'},
  {kind: 'ModelGateway', field: 'spec.logging.prompts', supported: [false], excludes: 'Nothing'},
  {kind: 'ModelGateway', field: 'spec.tracing.endpoint', excludes: 'Nothing'},
];

const messageOf = ({value}: Field, {supported}: UnsupportedField): string => {
  const what = typeof value === 'object' ? 'this field' : JSON.stringify(value);
  const instead = supported === undefined ? 'remove it' : `use ${supported.join(' or ')}, or remove it`;
  return `${what} is not supported yet: ${instead}`;
};

/** What `object` asks for that this version cannot do. */
export const unsupportedIn = (object: Resource): Problem[] =>
  unsupportedFields
    .filter(({kind}) => kind === object.kind)
    .flatMap((row) =>
      fieldsAt(object, row.field)
        .filter(({value}) => row.supported?.some((supported) => supported === value) !== true)
        .map((field) => ({
          object: {kind: object.kind, ...nameOf(object)},
          path: field.path,
          reason: unsupportedValue,
          message: messageOf(field, row),
          excludes: row.excludes,
        })),
    );
