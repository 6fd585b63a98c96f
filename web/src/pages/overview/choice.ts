// What somebody chose on the page; it stands in the address.

import { parseAsString, parseAsStringLiteral, useQueryStates } from 'nuqs';
import { layoutKinds } from './layout';

const text = parseAsString.withDefault('');

const choices = {
  layout: parseAsStringLiteral(layoutKinds).withDefault('group'),
  /** The label key (or @federation, @runtime, @none) that groups; empty: the usual one. */
  by: text,
  text,
  health: text,
  runtime: text,
  label: text,
  kind: text,
  verdict: text,
  /** The id of the node or link that is looked at. */
  at: text,
};

export function useChoice() {
  return useQueryStates(choices, { urlKeys: { text: 'q' } });
}

export type Choice = ReturnType<typeof useChoice>[0];
/** Changes some of it. */
export type Choose = (next: Partial<Choice>) => void;
