/** What a text means as JSON; undefined, which no JSON text means, if it is none. */
export const jsonIn = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // without V8's own words: they quote the text, which may be a Secret
  }
};
