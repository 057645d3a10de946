import type {ModelGateway} from '../../api/generated.ts';

export type ChildrenInput = {
  /** As the API server has it, with its uid. */
  gateway: ModelGateway;
  /** Of the Services that the accepted routes name; the gateway's own may be among them. */
  servedNamespaces: readonly string[];
  /** Where the gateway names no other. */
  proxyImage: string;
  imagePullPolicy: 'Always' | 'IfNotPresent' | 'Never';
  /** As the API server has it, with managedFields; undefined: there is none yet. */
  currentDeployment: object | undefined;
};
