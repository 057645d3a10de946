/** What a route refers to in its own namespace. */
import type {ModelRoute} from '../api/generated.ts';
import {nameOf, nameText} from './metadata.ts';

export type References = {
  /** As `namespace/name`, each once. */
  secrets: string[];
  services: string[];
};

/** Whether or not they exist. */
export const referencesOf = (route: ModelRoute): References => {
  const {namespace} = nameOf(route);
  const inNamespace = (names: readonly (string | undefined)[]): string[] => [
    ...new Set(names.filter((name) => name !== undefined).map((name) => nameText({namespace, name}))),
  ];
  const {backends} = route.spec;
  return {
    secrets: inNamespace(
      backends.flatMap(({auth, tls}) => [auth?.secretRef.name, tls?.caRef?.name, tls?.clientCertRef?.name]),
    ),
    services: inNamespace(backends.map(({serviceRef}) => serviceRef?.name)),
  };
};
