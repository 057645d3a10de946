/** The table of a chart's values, from the comments of its values.yaml. */
import {isMap, isScalar, parseDocument, type Pair, type YAMLMap} from 'yaml';

export type Row = {key: string; value: unknown; description: string};

const commentOf = (pair: Pair, map: YAMLMap, isFirst: boolean): string | undefined => {
  // The comment before a map's first key belongs to the map, for the parser.
  const comment = isScalar(pair.key)
    ? (pair.key.commentBefore ?? (isFirst ? map.commentBefore : undefined))
    : undefined;
  return comment?.replaceAll(/\s*\n\s*/g, ' ').trim();
};

const rowsOf = (map: YAMLMap, prefix: string): Row[] =>
  map.items.flatMap((pair, index): Row[] => {
    const key = `${prefix}${String(pair.key)}`;
    const description = commentOf(pair, map, index === 0);
    if (description !== undefined) {
      const value = isMap(pair.value) || !isScalar(pair.value) ? pair.value : pair.value.value;
      return [{key, value: value ?? null, description}];
    }
    if (isMap(pair.value) && pair.value.items.length > 0) return rowsOf(pair.value, `${key}.`);
    throw new Error(`values.yaml: ${key} has no comment`);
  });

/**
 * One row for each key with a comment before it; a key without one is a group, whose keys are rows.
 *
 * @throws Error if a value has no comment
 */
export const valueRows = (yaml: string): Row[] => {
  const {contents} = parseDocument(yaml);
  if (!isMap(contents)) throw new Error('values.yaml is not a map');
  return rowsOf(contents, '');
};

const cell = (text: string): string => text.replaceAll('|', '\\|');

/** In Markdown. */
export const valuesTable = (yaml: string): string =>
  [
    '| Value | Default | Meaning |',
    '| --- | --- | --- |',
    ...valueRows(yaml).map(
      ({key, value, description}) => `| \`${key}\` | \`${cell(JSON.stringify(value))}\` | ${cell(description)} |`,
    ),
  ].join('\n');
