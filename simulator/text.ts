/** Pleasant, deterministic English, token by token: the same seed says the same. */

const adjectives = ['quiet', 'gentle', 'bright', 'patient', 'curious', 'golden', 'calm', 'playful', 'steady', 'warm'];
const nouns = [
  'river',
  'garden',
  'lantern',
  'harbour',
  'meadow',
  'orchard',
  'library',
  'bridge',
  'morning',
  'lighthouse',
];
const verbs = [
  'follows',
  'remembers',
  'greets',
  'carries',
  'welcomes',
  'watches',
  'admires',
  'answers',
  'paints',
  'finds',
];
const endings = [
  'at dawn',
  'in spring',
  'by the sea',
  'after the rain',
  'with a smile',
  'before supper',
  'for a while',
];

/** FNV-1a, 32 bits: http://www.isthe.com/chongo/tech/comp/fnv/ */
export const hashOf = (text: string): number => {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  return hash >>> 0;
};

/** Mulberry32: numbers in [0, 1) that the seed alone decides. */
export const randomFrom = (seed: number): (() => number) => {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
};

/** Cuts a text into words that carry their leading space, so that joined they are the text again. */
export const tokensOf = (text: string): string[] => text.match(/\s*[^\s.,]+|\s*[.,]|\s+$/g) ?? [];

/** About four characters to a token, and at least one: what people estimate by. */
export const estimateTokens = (text: string): number => Math.max(1, Math.ceil(text.length / 4));

const sentence = (random: () => number): string => {
  const one = (list: string[]): string => list[Math.floor(random() * list.length)] ?? '';
  return ` The ${one(adjectives)} ${one(nouns)} ${one(verbs)} the ${one(adjectives)} ${one(nouns)} ${one(endings)}.`;
};

/** So many tokens, the first ones naming who speaks and the last one a full stop. */
export const sayTokens = ({name, count, seed}: {name: string; count: number; seed: number}): string[] => {
  const random = randomFrom(seed);
  const tokens = tokensOf(`Hello from ${name}.`);
  while (tokens.length < count) tokens.push(...tokensOf(sentence(random)));
  tokens.length = count;
  // Only past the greeting and its full stop: a very short answer shows as much of the name as fits.
  if (count > 5) tokens[count - 1] = '.';
  return tokens;
};
