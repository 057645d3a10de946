/** Words for messages: paths, and lists and texts that stay short however long what they tell of is. */

const plainName = /^[A-Za-z_$][\w$-]*$/;

/** `['spec', 'backends', 0, 'url']` to `spec.backends[0].url`; a name with a dot or a slash goes into brackets. */
export const pathText = (path: readonly (string | number)[]): string =>
  path
    .map((part, index) => {
      if (typeof part === 'number') return `[${part}]`;
      if (!plainName.test(part)) return `[${JSON.stringify(part)}]`;
      return index === 0 ? part : `.${part}`;
    })
    .join('');

/** `a, b, c and 3 more`. */
export const listText = (items: readonly string[], most = 5, separator = ', '): string => {
  const shown = items.slice(0, most).join(separator);
  return items.length > most ? `${shown} and ${items.length - most} more` : shown;
};

/** Characters, not bytes; what is cut ends in an ellipsis. */
export const shortened = (text: string, most = 2000): string =>
  text.length <= most ? text : `${Array.from(text.slice(0, most)).slice(0, -1).join('')}…`;
