/** From what was found out about an object to its conditions. */
import {conditionTypes, type ConditionType, type Reason} from '../api/conditions.ts';
import type {Condition} from '../api/generated.ts';
import {listText, pathText, shortened} from './text.ts';
import type {Problem} from './world.ts';

export type Finding = Pick<Condition, 'status' | 'message'> & {reason: Reason};

/** All of them, always. */
export type Findings = Readonly<Record<ConditionType, Finding>>;

const shown = 3;

/** The field, what is wrong there and what would be right, for the first few. */
const problemsText = (problems: readonly Problem[]): string =>
  listText(
    problems.map(({path, message}) => shortened(`${pathText(path)}: ${message}`)),
    shown,
    '; ',
  );

/** False for the first of `problems`, undefined without any. */
export const faultFinding = (problems: readonly Problem[]): Finding | undefined => {
  const [first] = problems;
  return first && {status: 'False', reason: first.reason, message: problemsText(problems)};
};

export type Observation = {
  /** The object's metadata.generation. */
  generation: number;
  /** The conditions that it has. */
  present: readonly Condition[] | undefined;
  /** RFC 3339. */
  now: string;
};

/** Far below the 32,768 characters of the schema, and more than a person reads. */
const longestMessage = 8000;

/** In the order of the types. lastTransitionTime moves only when the status does. */
export const toConditions = (findings: Findings, {generation, present = [], now}: Observation): Condition[] =>
  conditionTypes.map((type) => {
    const {status, reason, message} = findings[type];
    const unmoved = present.find((condition) => condition.type === type && condition.status === status);
    return {
      type,
      status,
      observedGeneration: generation,
      lastTransitionTime: unmoved?.lastTransitionTime ?? now,
      reason,
      message: shortened(message, longestMessage),
    };
  });
