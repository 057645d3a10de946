export {behaviourNames, behaviourSchema, BehaviourError, type Behaviour, type BehaviourInput} from './behaviour.ts';
export type {BehaviourSource} from './instructions.ts';
export type {RecordedRequest} from './requests.ts';
export {startSimulator, type Simulator, type SimulatorOptions} from './server.ts';
