/** What each pattern of the CRDs means, in words: a message that shows a regular expression helps nobody. */
import {dnsLabel, dnsSubdomain, labelValue} from './metadata-schema.ts';

type Meaning = {noun: string; remedy: string};

export const duration = '^([0-9]{1,5}(h|m|s|ms)){1,4}$';
export const size = '^[1-9][0-9]{0,11}(Ki|Mi|Gi|k|M|G)?$';

const label = {
  noun: 'a label',
  remedy: 'use a name of at most 63 letters, digits, -, _ and ., or prefix/name such as example.com/team',
};

const meanings: Record<string, Meaning> = {
  [duration]: {noun: 'a duration', remedy: 'use a number and a unit such as 500ms, 30s or 1m30s'},
  [size]: {noun: 'a size', remedy: 'use a number and a unit such as 16Ki, 32Mi or 1Gi'},
  [dnsLabel]: {noun: 'a name', remedy: 'use lower-case letters, digits and -, with a letter or digit at both ends'},
  '^[a-z]([-a-z0-9]*[a-z0-9])?$': {
    noun: 'the name of a Service',
    remedy: 'use lower-case letters, digits and -, with a letter first',
  },
  [dnsSubdomain]: {
    noun: 'a name',
    remedy: 'use lower-case letters, digits, - and ., with a letter or digit at both ends',
  },
  [labelValue]: {
    noun: 'a value of a label',
    remedy: 'use letters, digits, -, _ and ., with a letter or digit at both ends',
  },
  '^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$': label,
  '^(([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$': label,
  '^[-._a-zA-Z0-9]+$': {noun: 'a key of a Secret', remedy: 'use letters, digits, -, _ and .'},
  '^[!-~]([ -~]*[!-~])?$': {
    noun: 'the name of a model',
    remedy: 'use letters, digits and signs of ASCII, without a space at either end',
  },
  '^[!-~]+$': {noun: 'the name of an image', remedy: 'use registry/name:tag or registry/name@digest, without spaces'},
  "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$": {noun: 'the name of a header', remedy: 'use letters, digits and -, such as api-key'},
  "^/(([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+(/([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+)*/?)?$": {
    noun: 'a path',
    remedy: 'start with /, without spaces, empty segments, ? and #, such as /v1',
  },
  '^([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$': {
    noun: 'an amount',
    remedy: 'use a number and a unit such as 250m, 2 or 512Mi',
  },
};

export const meaningOf = (pattern: string): Meaning | undefined => meanings[pattern];
