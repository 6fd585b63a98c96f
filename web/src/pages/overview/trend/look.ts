import { verdictLook } from '../../../kit/verdict';
import type { Word } from './curve';

/** How the curve of a word is drawn: dashes tell them apart where colours do not. */
export function lineOf(word: Word): { color: string; dash: readonly number[] } {
  return { color: verdictLook(word === 'degraded' ? 'stale' : word).color, dash: dashes[word] };
}

const dashes: Readonly<Record<Word, readonly number[]>> = {
  failing: [],
  degraded: [10, 4],
  unknown: [4, 4],
  pending: [1, 4],
};

/** The shade of a colour that is at least 3:1 on the page. */
export function shadeOf(dark: boolean): number {
  return dark ? 5 : 8;
}
